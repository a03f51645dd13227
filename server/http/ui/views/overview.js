// The cluster: who leads, who is there, how far everybody is, what runs.
import { badge, card, figure, flush, header, h, link, show, table, time } from "../dom.js";
import { ApiError, follow, get, request } from "../api.js";

async function health(signal) {
  try { return (await request("GET", "/v1/operator/autopilot/health", { signal, accept: "application/json" })).data; }
  catch (error) {
    if (error instanceof ApiError && error.status === 429) return JSON.parse(error.message);
    return null;
  }
}

export default async function overview(root, _params, { signal, fail }) {
  let jobs = [];
  const draw = async () => {
    const [self, members, nodes, evaluations] = await Promise.all([
      get("/v1/agent/self", signal).catch(() => null), get("/v1/agent/members", signal).catch(() => ({ Members: [] })),
      get("/v1/nodes", signal).catch(() => []), get("/v1/evaluations?namespace=*&per_page=8&reverse=true", signal).catch(() => []),
    ]);
    const [leader, state] = await Promise.all([get("/v1/status/leader", signal).catch(() => ""), health(signal)]);
    if (signal.aborted) return;
    const raft = self?.stats?.raft || {};
    const count = (status) => jobs.filter((one) => one.Status === status).length;
    const ready = nodes.filter((one) => one.Status === "ready").length;
    const byName = Object.fromEntries((state?.Servers || []).map((one) => [one.Name, one]));
    show(root, header(null, "Overview", h("a", { class: "button", href: "#/run" }, "Run a job")),
      !leader && h("div", { class: "notice bad" }, h("strong", {}, "Nobody leads the cluster."), "\nReads go on, writes are refused until a majority of the servers is there."),
      h("div", { class: "grid" },
        figure("Jobs", jobs.length, `${count("running")} running, ${count("pending")} pending, ${count("dead")} dead`),
        figure("Nodes", nodes.length, `${ready} ready, ${nodes.length - ready} not`),
        figure("Index", raft.applied_index || "—", `term ${raft.term || "—"}, snapshot at ${raft.last_snapshot_index || "none"}`),
        figure("Failures it survives", state ? String(state.FailureTolerance) : "—", state ? (state.Healthy ? "all servers are healthy" : "not all servers are healthy") : "")),
      flush("Servers", table("Servers", ["Server", "State", { title: "Role" }, { title: "Address", class: "hide-narrow" }, { title: "Last index", class: "num hide-narrow" }, { title: "Heard", class: "hide-narrow" }],
        members.Members.map((one) => {
          const known = byName[one.Name] || {};
          const leads = leader === `${one.Tags.rpc_addr}:${one.Tags.port}`;
          return [one.Name, badge(one.Status), leads ? badge("leader", "info") : badge("follower", "off"), h("span", { class: "mono" }, `${one.Addr}:${one.Tags.port}`), known.LastIndex ?? "—", known.LastContact ?? "—"];
        }), "This agent's members cannot be read.")),
      flush("Latest evaluations", table("Latest evaluations", ["Evaluation", "Job", "Status", { title: "Because of", class: "hide-narrow" }, { title: "When", class: "hide-narrow" }],
        evaluations.map((one) => [link(`#/evaluations/${one.ID}`, h("span", { class: "mono" }, one.ID.slice(0, 8))), link(`#/jobs/${encodeURIComponent(one.Namespace)}/${encodeURIComponent(one.JobID)}`, one.JobID), badge(one.Status), one.TriggeredBy, time(one.CreateTime)]), "No evaluations yet.")));
  };
  await follow("/v1/jobs?namespace=*", (found) => { jobs = found; draw(); }, signal, fail);
}
