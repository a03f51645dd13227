// All jobs with what runs of them, live.
import { badge, bar, count, h, link, time } from "../dom.js";
import { namespace } from "../api.js";
import { listing } from "./listing.js";

export const jobLink = (space, id, tab) => `#/jobs/${encodeURIComponent(space)}/${encodeURIComponent(id)}${tab ? `/${tab}` : ""}`;
export const jobBadge = (one) => badge(one.Stop ? "stopped" : one.Status, one.Stop ? "off" : undefined);

// Allocations as a bar, beside it what runs of what is wanted.
export function allocationBar(allocs, label, wanted) {
  const number = (...states) => allocs.filter((one) => states.includes(one.ClientStatus)).length;
  const running = number("running");
  const parts = [["running", running, "good"], ["pending", number("pending"), "wait"], ["unknown", number("unknown"), "wait"],
    ["failed", number("failed", "lost"), "bad"], ["complete", number("complete"), "off"]];
  const held = parts.reduce((sum, [, some]) => sum + some, 0);
  return bar([...parts, ["missing", wanted ? Math.max(0, wanted - held) : 0, "none"]], label, !wanted ? `${running} running` : running > wanted ? `${running}, ${wanted} desired` : `${running} of ${wanted}`);
}

const deploying = (one) => one?.IsActive && [" ", badge(one.RequiresPromotion ? "needs promotion" : "deploying", "info")];
export const JOB_COLUMNS = ["Job", "Status", "Allocations", { title: "Type", class: "hide-narrow" }, { title: "Namespace", class: "hide-narrow" },
  { title: "Version", class: "num hide-narrow" }, { title: "Submitted", class: "hide-narrow" }];

export function jobRow(one) {
  const children = one.ChildStatuses;
  const kept = (one.Allocs || []).filter((alloc) => one.Type !== "service" || ["running", "pending", "unknown"].includes(alloc.ClientStatus) || alloc.JobVersion === one.Version);
  return [h("span", { class: "name" }, link(jobLink(one.Namespace, one.ID), one.ID)), [jobBadge(one), deploying(one.LatestDeployment) || null],
    children ? h("span", { class: "dim" }, `${count(children.length, "child").replace("childs", "children")}, ${children.filter((status) => status === "running").length} running`)
      : allocationBar(kept, `Allocations of ${one.ID}`, one.Stop ? 0 : one.GroupCountSum),
    one.Type, one.Namespace, one.Version, time(one.SubmitTime)];
}

export default (root, _params, context) => listing(root, context, {
  title: "Jobs", actions: [h("a", { class: "button primary", href: "#/run" }, "Run a job")], hint: "Search jobs by name",
  target: "/v1/jobs/statuses", params: { namespace: namespace(), reverse: true }, fields: ["ID", "Name"],
  choices: { Status: { title: "Any status", options: ["running", "pending", "dead"] }, Type: { title: "Any type", options: ["service", "batch", "system", "sysbatch"] } },
  columns: JOB_COLUMNS, row: jobRow, empty: "No jobs yet: run one.",
});
