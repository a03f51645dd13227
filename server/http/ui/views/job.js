// One job: what is wanted, what runs, how it came so, and what can be done about it.
import { badge, card, facts, h, header, link, show, time } from "../dom.js";
import { follow, get, path, query } from "../api.js";
import { actions } from "./job_actions.js";
import { TABS } from "./job_tabs.js";
import { jobBadge, jobLink } from "./jobs.js";

const about = (job, space) => card(null, facts([["Type", job.Type], ["Priority", job.Priority], ["Version", job.Version], ["Node pool", job.NodePool],
  ["Datacenters", (job.Datacenters || []).join(", ")], ["Submitted", time(job.SubmitTime)], ["Description", job.StatusDescription],
  ["Parent", job.ParentID && link(jobLink(space, job.ParentID), job.ParentID)],
  ["Schedule", job.Periodic && [...(job.Periodic.Specs || []), job.Periodic.Spec].filter(Boolean).join(", ")],
  ["Time zone", job.Periodic?.TimeZone], ["Meta", Object.entries(job.Meta || {}).map(([name, value]) => `${name}=${value}`).join(", ")]]));

const tabs = (space, id, tab) => h("nav", { class: "tabs", "aria-label": "About this job" }, Object.entries(TABS).map(([key, { title }]) =>
  h("a", { href: jobLink(space, id, key), "aria-current": key === tab ? "page" : null, "data-key": `tab-${key}` }, title)));

export default async function job(root, [space, id, given = ""], { signal, fail }) {
  const tab = given in TABS ? given : "";
  const view = TABS[tab];
  const q = (...rest) => query(path("job", id, ...rest), { namespace: space });
  const state = {};
  let drawn = 0;
  const draw = async () => {
    if (!state.job || (view.target && !state.data)) return;
    const number = ++drawn;
    const body = await view.draw(state.job, state.data, { q, signal, space });
    if (signal.aborted || number !== drawn) return;
    show(root, header([link("#/jobs", "Jobs"), " / ", space], [state.job.ID, " ", jobBadge(state.job), state.job.ParameterizedJob && !state.job.Dispatched && [" ", badge("parameterized", "info")], state.job.Periodic && [" ", badge("periodic", "info")]],
      actions(state.job, q)), about(state.job, space), tabs(space, id, tab), body);
    root.querySelector(".tabs [aria-current]")?.scrollIntoView({ block: "nearest", inline: "nearest" });
  };
  if (view.target) follow(view.target(q), (data) => { state.data = data; return draw(); }, signal, fail);
  // One question wakes for the job, its allocations, deployments and children.
  await follow("/v1/jobs/statuses", async () => { state.job = await get(q(), signal); await draw(); }, signal, fail, { Jobs: [{ ID: id, Namespace: space }] });
}
