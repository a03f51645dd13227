// All jobs with what runs of them, live.
import { badge, bar, flush, header, h, link, show, table, time } from "../dom.js";
import { follow, namespace } from "../api.js";

export const jobLink = (space, id, tab) => `#/jobs/${encodeURIComponent(space)}/${encodeURIComponent(id)}${tab ? `/${tab}` : ""}`;

export function allocationBar(allocs, label) {
  const count = (...states) => allocs.filter((one) => states.includes(one.ClientStatus)).length;
  return bar([["running", count("running"), "good"], ["pending", count("pending"), "wait"], ["unknown", count("unknown"), "wait"], ["failed", count("failed", "lost"), "bad"], ["complete", count("complete"), "off"]], label);
}

export default async function jobs(root, _params, { signal, fail }) {
  let found = [];
  const list = h("div");
  const search = h("input", { type: "search", placeholder: "Filter by name or type", "aria-label": "Filter jobs", "data-key": "search", oninput: () => draw() });
  const status = h("select", { "aria-label": "Status", "data-key": "status", onchange: () => draw() }, ["all", "running", "pending", "dead"].map((one) => h("option", { value: one }, one === "all" ? "Any status" : one)));
  show(root, header(null, "Jobs", h("a", { class: "button", href: "#/run" }, "Run a job")), h("div", { class: "filter" }, search, status), list);
  const draw = () => {
    const text = search.value.toLowerCase();
    const rows = found.filter((one) => (status.value === "all" || one.Status === status.value) && (one.ID.toLowerCase().includes(text) || one.Type.includes(text)));
    show(list, flush(null, table("Jobs", ["Job", "Status", "Allocations", { title: "Type", class: "hide-narrow" }, { title: "Namespace", class: "hide-narrow" }, { title: "Version", class: "num hide-narrow" }, { title: "Submitted", class: "hide-narrow" }],
      rows.map((one) => {
        const children = one.ChildStatuses;
        const rolling = one.LatestDeployment?.IsActive && [" ", badge(one.LatestDeployment.RequiresPromotion ? "needs promotion" : "deploying", "info")];
        return [link(jobLink(one.Namespace, one.ID), one.ID), [badge(one.Stop ? "stopped" : one.Status, one.Stop ? "off" : undefined), rolling || null],
          children ? h("span", { class: "dim" }, `${children.length} children`) : allocationBar(one.Allocs || [], `Allocations of ${one.ID}`), one.Type, one.Namespace, one.Version, time(one.SubmitTime)];
      }), found.length ? "No job fits the filter." : "No jobs yet: run one.")));
  };
  await follow(`/v1/jobs/statuses?namespace=${encodeURIComponent(namespace())}&reverse=true`, (data) => { found = data || []; draw(); }, signal, fail);
}
