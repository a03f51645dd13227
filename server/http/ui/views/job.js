// One job: what is wanted, what runs, how it came so, and what can be done about it.
import { ask, badge, card, facts, flush, h, header, link, say, short, show, table, time } from "../dom.js";
import { follow, get, path, put, request } from "../api.js";
import { allocationBar, jobLink } from "./jobs.js";
import { diffLines } from "./diff.js";

const TABS = [["", "Overview"], ["allocations", "Allocations"], ["versions", "Versions"], ["evaluations", "Evaluations"], ["deployments", "Deployments"], ["scaling", "Scaling"], ["definition", "Definition"]];

export const allocationRows = (list) => list.map((one) => [
  link(`#/allocations/${one.ID}`, h("span", { class: "mono" }, short(one.ID))), one.TaskGroup, badge(one.ClientStatus), one.DesiredStatus === "run" ? "run" : badge(one.DesiredStatus, "off"),
  link(`#/nodes/${one.NodeID}`, one.NodeName || short(one.NodeID)), one.JobVersion, time(one.ModifyTime)]);
export const ALLOCATION_COLUMNS = ["Allocation", "Group", "Status", { title: "Wanted", class: "hide-narrow" }, { title: "Node", class: "hide-narrow" }, { title: "Version", class: "num hide-narrow" }, { title: "Changed", class: "hide-narrow" }];

async function act(title, text, action, work, danger) {
  if (!(await ask(title, text, action, danger))) return;
  try { await work(); say(`${action}: done`); } catch (error) { say(`${action} failed: ${error.message}`, "bad"); }
}

function actions(job, space) {
  const base = (...rest) => `${path("job", job.ID, ...rest)}?namespace=${encodeURIComponent(space)}`;
  const made = [];
  if (job.Periodic) made.push(h("button", { type: "button", onclick: () => act("Launch now", `Launch a child of ${job.ID} now?`, "Launch", () => put(base("periodic", "force"))) }, "Launch now"));
  if (job.ParameterizedJob && !job.Dispatched) made.push(h("button", { type: "button", onclick: () => act("Dispatch", `Dispatch a child of ${job.ID} without payload?`, "Dispatch", () => put(base("dispatch"), {})) }, "Dispatch"));
  if (!job.Periodic && !job.ParameterizedJob) made.push(h("button", { type: "button", onclick: () => act("Evaluate", `Evaluate ${job.ID} again?`, "Evaluate", () => put(base("evaluate"), { JobID: job.ID })) }, "Evaluate"));
  made.push(h("button", { type: "button", class: "danger", "data-key": "stop", onclick: () => act(job.Stop ? "Purge the job" : "Stop the job", job.Stop ? `Remove ${job.ID}, its versions and its allocations?` : `Stop ${job.ID}? It stays listed as dead.`, job.Stop ? "Purge" : "Stop",
    () => request("DELETE", base() + (job.Stop ? "&purge=true" : "")), true) }, job.Stop ? "Purge" : "Stop"));
  return made;
}

function deploymentCard(one) {
  if (!one) return null;
  const groups = Object.entries(one.TaskGroups || {});
  const canPromote = one.Status === "running" && groups.some(([, state]) => state.DesiredCanaries > 0 && !state.Promoted);
  const active = ["running", "paused", "pending", "blocked", "unblocking"].includes(one.Status);
  const post = (verb, body) => () => put(path("deployment", verb, one.ID), { DeploymentID: one.ID, ...body });
  return card(h("span", {}, "Latest deployment ", badge(one.Status)), h("p", { class: "dim" }, one.StatusDescription),
    table("Groups of the deployment", ["Group", { title: "Wanted", class: "num" }, { title: "Placed", class: "num" }, { title: "Healthy", class: "num" }, { title: "Unhealthy", class: "num" }, "Canaries"],
      groups.map(([name, state]) => [name, state.DesiredTotal, state.PlacedAllocs, state.HealthyAllocs, state.UnhealthyAllocs, state.DesiredCanaries ? `${(state.PlacedCanaries || []).length} of ${state.DesiredCanaries}${state.Promoted ? ", promoted" : ""}` : "—"])),
    active && h("div", { class: "actions" },
      canPromote && h("button", { type: "button", class: "primary", "data-key": "promote", onclick: () => act("Promote", "Promote all canaries?", "Promote", post("promote", { All: true })) }, "Promote"),
      h("button", { type: "button", onclick: () => act(one.Status === "paused" ? "Resume" : "Pause", `${one.Status === "paused" ? "Resume" : "Pause"} this deployment?`, one.Status === "paused" ? "Resume" : "Pause", post("pause", { Pause: one.Status !== "paused" })) }, one.Status === "paused" ? "Resume" : "Pause"),
      h("button", { type: "button", class: "danger", onclick: () => act("Fail", "Mark this deployment as failed?", "Fail", post("fail"), true) }, "Fail")));
}

const VIEWS = {
  async ""(job, q, signal) {
    const [summary, deployment, allocs] = await Promise.all([get(q("summary"), signal), get(q("deployment"), signal), get(q("allocations"), signal)]);
    const groups = Object.fromEntries((job.TaskGroups || []).map((one) => [one.Name, one]));
    return [deploymentCard(deployment), flush("Groups", table("Groups", ["Group", { title: "Count", class: "num" }, "Allocations", { title: "Queued", class: "num" }, { title: "Failed", class: "num" }],
      Object.entries(summary?.Summary || {}).map(([name, state]) => [name, groups[name]?.Count ?? "—", allocationBar(allocs.filter((one) => one.TaskGroup === name && (one.DesiredStatus === "run" || one.ClientStatus === "running")), `Allocations of group ${name}`), state.Queued, state.Failed + state.Lost]))),
      flush("Allocations", table("Newest allocations", ALLOCATION_COLUMNS, allocationRows(allocs.sort((a, b) => b.CreateIndex - a.CreateIndex).slice(0, 8)), "No allocations."))];
  },
  async allocations(_job, q, signal) {
    const found = await get(q("allocations"), signal);
    return flush(null, table("Allocations", ALLOCATION_COLUMNS, allocationRows(found.sort((a, b) => b.CreateIndex - a.CreateIndex)), "No allocations."));
  },
  async evaluations(_job, q, signal) {
    const found = await get(q("evaluations"), signal);
    return flush(null, table("Evaluations", ["Evaluation", "Status", "Because of", { title: "Placement", class: "hide-narrow" }, { title: "When", class: "hide-narrow" }], found.sort((a, b) => b.CreateIndex - a.CreateIndex)
      .map((one) => [link(`#/evaluations/${one.ID}`, h("span", { class: "mono" }, short(one.ID))), badge(one.Status), one.TriggeredBy, one.FailedTGAllocs ? badge("failures", "bad") : "—", time(one.CreateTime)]), "No evaluations."));
  },
  async versions(job, q, signal, space) {
    const found = await get(`${q("versions")}&diffs=true`, signal);
    return found.Versions.map((one, at) => card(h("span", {}, `Version ${one.Version} `, one.Version === job.Version && badge("current", "info"), one.Stable && [" ", badge("stable", "good")], one.VersionTag && [" ", badge(one.VersionTag.Name, "info")]),
      h("p", { class: "dim" }, "submitted ", time(one.SubmitTime)), diffLines(found.Diffs?.[at]) || h("p", { class: "dim" }, at === found.Versions.length - 1 ? "the first that is kept" : "nothing but its state"),
      one.Version !== job.Version && h("div", { class: "actions" }, h("button", { type: "button", "data-key": `revert-${one.Version}`, onclick: () => act("Revert", `Make the content of version ${one.Version} the newest version of ${job.ID}?`, "Revert",
        () => put(`${path("job", job.ID, "revert")}?namespace=${encodeURIComponent(space)}`, { JobID: job.ID, JobVersion: one.Version, EnforcePriorVersion: job.Version })) }, `Revert to version ${one.Version}`))));
  },
  async deployments(_job, q, signal) {
    const found = await get(q("deployments"), signal);
    return flush(null, table("Deployments", ["Deployment", "Status", { title: "Version", class: "num" }, { title: "What it says", class: "wrap" }], found.sort((a, b) => b.CreateIndex - a.CreateIndex)
      .map((one) => [h("span", { class: "mono" }, short(one.ID)), badge(one.Status), one.JobVersion, one.StatusDescription]), "No deployments."));
  },
  async scaling(job, q, signal, space) {
    const found = await get(q("scale"), signal);
    const forms = (job.TaskGroups || []).map((group) => {
      const input = h("input", { type: "number", min: "0", value: group.Count, id: `count-${group.Name}`, "data-key": `count-${group.Name}` });
      return h("form", { class: "field", onsubmit: (event) => { event.preventDefault(); act("Scale", `Set the count of ${group.Name} to ${input.value}?`, "Scale", () => put(`${path("job", job.ID, "scale")}?namespace=${encodeURIComponent(space)}`, { Count: Number(input.value), Target: { Group: group.Name }, Message: "from the web page" })); } },
        h("label", { for: `count-${group.Name}` }, `Count of group ${group.Name}`), h("div", { class: "actions" }, input, h("button", { type: "submit", "data-key": `scale-${group.Name}` }, "Scale")));
    });
    const events = Object.entries(found.TaskGroups || {}).flatMap(([name, state]) => (state.Events || []).map((one) => ({ name, ...one }))).sort((a, b) => b.Time - a.Time);
    return [card("Counts", forms), flush("Scaling events", table("Scaling events", ["When", "Group", { title: "From", class: "num" }, { title: "To", class: "num" }, { title: "Message", class: "wrap" }],
      events.map((one) => [time(one.Time), one.name, one.PreviousCount, one.Count ?? "—", [one.Error && badge("error", "bad"), ` ${one.Message}`]]), "No scaling events."))];
  },
  async definition(job) {
    return card(null, h("pre", { class: "block", tabindex: "0", "aria-label": "The job as JSON" }, JSON.stringify(job, null, 2)));
  },
};

export default async function job(root, [space, id, tab = ""], { signal, fail }) {
  const q = (...rest) => `${path("job", id, ...rest)}?namespace=${encodeURIComponent(space)}`;
  let drawn = 0;
  const draw = async (found) => {
    const number = ++drawn;
    const body = await (VIEWS[tab] || VIEWS[""])(found, q, signal, space);
    if (signal.aborted || number !== drawn) return;
    show(root, header([h("a", { href: "#/jobs" }, "Jobs"), " / ", space], [found.ID, " ", badge(found.Stop ? "stopped" : found.Status, found.Stop ? "off" : undefined)], actions(found, space)),
      card(null, facts([["Type", found.Type], ["Priority", found.Priority], ["Version", found.Version], ["Node pool", found.NodePool], ["Datacenters", (found.Datacenters || []).join(", ")], ["Submitted", time(found.SubmitTime)], ["Parent", found.ParentID && link(jobLink(space, found.ParentID), found.ParentID)], ["Says", found.StatusDescription]])),
      h("nav", { class: "tabs", "aria-label": "About this job" }, TABS.map(([key, title]) => h("a", { href: jobLink(space, id, key), "aria-current": key === tab ? "page" : null, "data-key": `tab-${key}` }, title))), body);
  };
  let current = null;
  const again = () => current && draw(current).catch(fail);
  follow(q("allocations"), again, signal, () => {});
  follow(q("evaluations"), again, signal, () => {});
  follow(q("deployments"), again, signal, () => {});
  await follow(q(), (found) => { current = found; again(); }, signal, fail);
}
