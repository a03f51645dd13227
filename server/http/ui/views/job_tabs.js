// The tabs of a job: what each asks, and how it shows it.
import { badge, button, card, count, flush, h, link, mono, short, table, time } from "../dom.js";
import { get } from "../api.js";
import { ALLOCATION_COLUMNS, allocationRows } from "./allocations.js";
import { DEPLOYMENT_COLUMNS, deploymentCard, deploymentRow } from "./deployments.js";
import { diffLines } from "./diff.js";
import { placement } from "./evaluations.js";
import { revert, scale } from "./job_actions.js";
import { JOB_COLUMNS, allocationBar, jobRow } from "./jobs.js";
import { unplaced } from "./placement.js";

const CHILDREN_MAX = 50;
const newest = (list, key = "CreateIndex") => (list || []).toSorted((a, b) => b[key] - a[key]);

// The newest evaluation with failures, unless the scheduler has had its way since.
function waiting(evaluations) {
  const blocked = newest(evaluations).find((one) => one.Status === "blocked" && one.FailedTGAllocs);
  return blocked ? unplaced(blocked.FailedTGAllocs, blocked.ID) : null;
}

function groups(job, summary, allocs) {
  const known = Object.fromEntries((job.TaskGroups || []).map((one) => [one.Name, one]));
  const held = (name) => allocs.filter((one) => one.TaskGroup === name && (one.DesiredStatus === "run" || one.ClientStatus === "running"));
  const columns = ["Group", { title: "Tasks", class: "hide-narrow" }, "Allocations", { title: "Queued", class: "num" }, { title: "Failed", class: "num" }];
  return flush("Groups", table("Groups", columns, Object.entries(summary?.Summary || {}).map(([name, state]) => [name, (known[name]?.Tasks || []).map((one) => one.Name).join(", "),
    allocationBar(held(name), `Allocations of group ${name}`, job.Stop || !["service", "batch"].includes(job.Type) ? 0 : known[name]?.Count), state.Queued, state.Failed + state.Lost]), "No groups."));
}

async function children(job, { space, signal }) {
  const filter = encodeURIComponent(`ParentID == \`${job.ID}\``);
  const found = await get(`/v1/jobs/statuses?namespace=${encodeURIComponent(space)}&include_children=true&reverse=true&per_page=${CHILDREN_MAX}&filter=${filter}`, signal);
  return flush("Newest children", table("Newest children", JOB_COLUMNS, found.map(jobRow), "No children yet."));
}

async function overview(job, evaluations, context) {
  if (job.Periodic || (job.ParameterizedJob && !job.Dispatched)) return children(job, context);
  const { q, signal } = context;
  const [summary, deployment, allocs] = await Promise.all([get(q("summary"), signal), get(q("deployment"), signal), get(q("allocations"), signal)]);
  return [waiting(evaluations), deploymentCard(deployment), groups(job, summary, allocs),
    flush("Newest allocations", table("Newest allocations", ALLOCATION_COLUMNS, allocationRows(allocs).slice(0, 8), "No allocations."))];
}

function version(job, one, diff, isFirst, q) {
  const isCurrent = one.Version === job.Version;
  const title = h("span", {}, `Version ${one.Version}`, isCurrent && [" ", badge("current", "info")], one.Stable && [" ", badge("stable", "good")], one.VersionTag && [" ", badge(`tag ${one.VersionTag.Name}`, "info")]);
  return card(title, h("p", { class: "dim" }, "submitted ", time(one.SubmitTime), one.VersionTag?.Description ? ` · ${one.VersionTag.Description}` : ""),
    diffLines(diff) || h("p", {}, isFirst ? "The oldest version that is kept." : "No differences in its content."),
    !isCurrent && h("div", { class: "actions" }, button(`Revert to version ${one.Version}`, () => revert(job, one.Version, q))));
}

function counts(job, q) {
  return (job.TaskGroups || []).map((group) => {
    const input = h("input", { type: "number", min: "0", value: group.Count, id: `count-${group.Name}`, "data-key": `count-${group.Name}`, inputmode: "numeric" });
    const now = () => document.getElementById(input.id) || input;
    return h("form", { class: "field", onsubmit: (event) => { event.preventDefault(); scale(group, now(), q); } },
      h("label", { for: input.id }, `Count of group ${group.Name}`), h("div", { class: "actions" }, input, h("button", { type: "submit", "data-key": `scale-${group.Name}` }, "Scale")),
      group.Scaling && h("p", { class: "dim" }, `between ${group.Scaling.Min} and ${group.Scaling.Max}`));
  });
}

function scaling(job, found, { q }) {
  const events = newest(Object.entries(found.TaskGroups || {}).flatMap(([name, state]) => (state.Events || []).map((one) => ({ name, ...one }))), "Time");
  const columns = ["Time", "Group", { title: "From", class: "num" }, { title: "To", class: "num" }, { title: "Message", class: "wrap" }];
  return [card("Counts", counts(job, q)), flush("Scaling events", table("Scaling events", columns,
    events.map((one) => [time(one.Time), one.name, one.PreviousCount, one.Count ?? "—", [one.Error && [badge("error", "bad"), " "], one.Message]]), "No scaling events."))];
}

async function definition(job, _data, { q, signal }) {
  const source = await get(`${q("submission")}&version=${job.Version}`, signal).catch(() => null);
  const block = (title, text) => card(title, h("pre", { class: "block", tabindex: "0", "aria-label": title, "data-key": title }, text));
  return [source?.Source && block(`Source (${source.Format === "json" ? "JSON" : "HCL"})`, source.Source), block("The job as JSON", JSON.stringify(job, null, 2))];
}

const EVALUATION_COLUMNS = ["Evaluation", "Status", "Triggered by", { title: "Placement", class: "hide-narrow" }, { title: "Created", class: "hide-narrow" }];
const evaluationRow = (one) => [link(`#/evaluations/${one.ID}`, mono(short(one.ID))), badge(one.Status), one.TriggeredBy, placement(one), time(one.CreateTime)];
const rows = (title, columns, made, empty) => flush(null, table(title, columns, made, empty));

export const TABS = {
  "": { title: "Overview", target: (q) => q("evaluations"), draw: overview },
  allocations: { title: "Allocations", target: (q) => q("allocations"), draw: (_job, found) => rows("Allocations", ALLOCATION_COLUMNS, allocationRows(found), "No allocations.") },
  versions: {
    title: "Versions", target: (q) => `${q("versions")}&diffs=true`,
    draw: (job, found, { q }) => [h("p", { class: "dim" }, `${count(found.Versions.length, "version")} kept, each with what it changed.`),
      ...found.Versions.map((one, at) => version(job, one, found.Diffs?.[at], at === found.Versions.length - 1, q))],
  },
  evaluations: { title: "Evaluations", target: (q) => q("evaluations"), draw: (_job, found) => rows("Evaluations", EVALUATION_COLUMNS, newest(found).map(evaluationRow), "No evaluations.") },
  deployments: {
    title: "Deployments", target: (q) => q("deployments"),
    draw: (_job, found) => [deploymentCard(newest(found)[0]), rows("Deployments", DEPLOYMENT_COLUMNS, newest(found).map(deploymentRow), "No deployments: only services have them.")],
  },
  scaling: { title: "Scaling", target: (q) => q("scale"), draw: scaling },
  definition: { title: "Definition", draw: definition },
};
