// A deployment: how far it is, and what can be done about it.
import { act, badge, button, card, count, h, link, mono, short, table } from "../dom.js";
import { path, put } from "../api.js";
import { jobLink } from "./jobs.js";

const ACTIVE = ["running", "paused", "pending", "blocked", "unblocking", "initializing"];
const groups = (one) => Object.entries(one.TaskGroups || {});
const sum = (one, pick) => groups(one).reduce((total, [, state]) => total + (pick(state) || 0), 0);

function actions(one) {
  const post = (verb, body) => () => put(path("deployment", verb, one.ID), { DeploymentID: one.ID, ...body });
  const waiting = groups(one).some(([, state]) => state.DesiredCanaries > 0 && !state.Promoted);
  const verb = one.Status === "paused" ? "Resume" : "Pause";
  return [
    waiting && button("Promote", () => act("Promote the deployment", "Promote all canaries? The other allocations are replaced by the new version.", "Promote", post("promote", { All: true })), { kind: "primary" }),
    button(verb, () => act(`${verb} the deployment`, `${verb} the deployment of version ${one.JobVersion}?`, verb, post("pause", { Pause: verb === "Pause" }))),
    button("Fail", () => act("Fail the deployment", "Mark the deployment as failed? Groups with auto_revert go back to their last stable version.", "Fail", post("fail"), { danger: true }), { kind: "danger" }),
  ];
}

export function deploymentCard(one, title = "Latest deployment") {
  if (!one) return null;
  return card(h("span", {}, `${title} `, badge(one.Status)), h("p", { class: "dim" }, one.StatusDescription),
    table("Groups of the deployment", ["Group", { title: "Desired", class: "num" }, { title: "Placed", class: "num hide-narrow" }, { title: "Healthy", class: "num" }, { title: "Unhealthy", class: "num" }, "Canaries"],
      groups(one).map(([name, state]) => [name, state.DesiredTotal, state.PlacedAllocs, state.HealthyAllocs, state.UnhealthyAllocs,
        state.DesiredCanaries ? `${(state.PlacedCanaries || []).length} of ${state.DesiredCanaries}${state.Promoted ? ", promoted" : ""}` : "—"])),
    ACTIVE.includes(one.Status) && h("div", { class: "actions" }, actions(one)));
}

export const DEPLOYMENT_COLUMNS = ["Deployment", "Status", { title: "Version", class: "num hide-narrow" }, { title: "Healthy", class: "hide-narrow" }, { title: "Description", class: "wrap" }];
export const deploymentRow = (one) => [mono(short(one.ID)), badge(one.Status), link(jobLink(one.Namespace, one.JobID, "versions"), String(one.JobVersion)),
  `${sum(one, (state) => state.HealthyAllocs)} of ${count(sum(one, (state) => state.DesiredTotal), "allocation")}`, one.StatusDescription];
