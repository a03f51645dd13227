// Evaluations: what the scheduler decided, and in plain words why something was not placed.
import { badge, card, facts, flush, h, header, link, short, show, table, time } from "../dom.js";
import { follow, get, namespace, path } from "../api.js";
import { ALLOCATION_COLUMNS, allocationRows } from "./job.js";
import { jobLink } from "./jobs.js";

const count = (number, what) => `${number} ${what}${number === 1 ? "" : "s"}`;

// Why a group found no place, one sentence a cause.
export function explain(metric) {
  const said = [];
  const missing = (metric.CoalescedFailures || 0) + 1;
  said.push(`${count(missing, "allocation")} found no place.`);
  const pool = metric.NodesInPool ?? 0;
  if (!metric.NodesEvaluated) said.push(pool ? `No node of pool "${metric.NodePool}" is in a datacenter that the job names, ready and eligible.` : `There are no nodes in pool "${metric.NodePool || "default"}".`);
  else said.push(`${count(metric.NodesEvaluated, "node")} looked at.`);
  for (const [name, nodes] of Object.entries(metric.ConstraintFiltered || {})) said.push(`${count(nodes, "node")} left out: ${name}.`);
  for (const [name, nodes] of Object.entries(metric.ClassFiltered || {})) said.push(`${count(nodes, "node")} of class "${name}" left out.`);
  for (const [name, nodes] of Object.entries(metric.DimensionExhausted || {})) said.push(`${count(nodes, "node")} without enough ${name}.`);
  for (const name of metric.QuotaExhausted || []) said.push(`The quota ${name} is used up.`);
  return said.join(" ");
}

export async function evaluations(root, _params, { signal, fail }) {
  let found = [];
  const list = h("div");
  const search = h("input", { type: "search", placeholder: "Filter by job", "aria-label": "Filter evaluations", "data-key": "search", oninput: () => draw() });
  show(root, header(null, "Evaluations"), h("div", { class: "filter" }, search), list);
  const draw = () => {
    const rows = found.filter((one) => one.JobID.toLowerCase().includes(search.value.toLowerCase()));
    show(list, flush(null, table("Evaluations", ["Evaluation", "Job", "Status", { title: "Because of", class: "hide-narrow" }, { title: "Placement", class: "hide-narrow" }, { title: "When", class: "hide-narrow" }],
      rows.map((one) => [link(`#/evaluations/${one.ID}`, h("span", { class: "mono" }, short(one.ID))), link(jobLink(one.Namespace, one.JobID), one.JobID), badge(one.Status), one.TriggeredBy, one.FailedTGAllocs ? badge("failures", "bad") : "—", time(one.CreateTime)]), "No evaluations.")));
  };
  await follow(`/v1/evaluations?namespace=${encodeURIComponent(namespace())}&per_page=200&reverse=true`, (data) => { found = data; draw(); }, signal, fail);
}

export async function evaluation(root, [id], { signal, fail }) {
  await follow(path("evaluation", id), async (found) => {
    const allocs = await get(path("evaluation", id, "allocations"), signal).catch(() => []);
    if (signal.aborted) return;
    const other = (name, title) => [title, found[name] && link(`#/evaluations/${found[name]}`, h("span", { class: "mono" }, short(found[name])))];
    const failures = Object.entries(found.FailedTGAllocs || {});
    show(root, header([h("a", { href: "#/evaluations" }, "Evaluations")], [h("span", { class: "mono" }, short(found.ID)), " ", badge(found.Status)]),
      failures.map(([name, metric]) => h("div", { class: "notice bad" }, h("strong", {}, `Group "${name}": `), explain(metric))),
      failures.length > 0 && found.BlockedEval && h("div", { class: "notice wait" }, "The rest waits for room: it is tried again when a node comes or something ends (evaluation ", link(`#/evaluations/${found.BlockedEval}`, short(found.BlockedEval)), ")."),
      card(null, facts([["Job", link(jobLink(found.Namespace, found.JobID), found.JobID)], ["Because of", found.TriggeredBy], ["Says", found.StatusDescription], ["Priority", found.Priority], ["Type", found.Type], other("PreviousEval", "After"), other("NextEval", "Next"), other("BlockedEval", "Waits in"),
        ["Wait until", found.WaitUntil && !found.WaitUntil.startsWith("0001") ? time(found.WaitUntil) : ""], ["Created", time(found.CreateTime)], ["Queued", Object.entries(found.QueuedAllocations || {}).map(([name, number]) => `${name}: ${number}`).join(", ")]])),
      flush("Allocations it placed", table("Allocations", ALLOCATION_COLUMNS, allocationRows(allocs.map((one) => ({ ...one, JobVersion: one.Job?.Version ?? one.JobVersion }))), "None.")));
  }, signal, fail);
}
