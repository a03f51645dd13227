// The cluster: who leads, who is there, how far everybody is, what runs.
import { badge, figure, flush, h, header, link, mono, short, show, table, time } from "../dom.js";
import { ApiError, follow, get, poll, request } from "../api.js";
import { jobLink } from "./jobs.js";

const MEMBERS_MS = 4000;
const ROWS_MAX = 1000;

// Autopilot answers 429 when the cluster is not healthy, with the same body.
async function health(signal) {
  try { return (await request("GET", "/v1/operator/autopilot/health", { signal, accept: "application/json" })).data; }
  catch (error) {
    if (error instanceof ApiError && error.status === 429) return JSON.parse(error.message);
    if (error instanceof ApiError && !error.passes) return null;
    throw error;
  }
}

// What may not be asked with this token is left out.
const allowed = (promise, instead) => promise.catch((error) => { if (error instanceof ApiError && !error.passes) return instead; throw error; });

function servers(state) {
  const byName = Object.fromEntries((state.health?.Servers || []).map((one) => [one.Name, one]));
  const columns = ["Server", "Status", "Role", { title: "Address", class: "hide-narrow" }, { title: "Last index", class: "num hide-narrow" }, { title: "Last contact", class: "num hide-narrow" }, { title: "Version", class: "hide-narrow" }];
  return flush("Servers", table("Servers", columns, state.members.map((one) => {
    const known = byName[one.Name] || {};
    const leads = state.leader === `${one.Tags.rpc_addr}:${one.Tags.port}`;
    return [one.Name, [badge(one.Status), known.Healthy === false && [" ", badge("unhealthy")]], leads ? badge("leader", "info") : badge("follower", "off"),
      mono(`${one.Tags.rpc_addr}:${one.Tags.port}`), known.LastIndex ?? "—", known.LastContact ?? "—", one.Tags.build];
  }), "The members cannot be read with this token."));
}

function figures({ jobs, nodes, self, health: found }) {
  const raft = self?.stats?.raft || {};
  const number = (status) => jobs.rows.filter((one) => one.Status === status).length;
  const ready = nodes.rows.filter((one) => one.Status === "ready");
  const more = (list) => `${list.rows.length}${list.next ? "+" : ""}`;
  const eligible = ready.filter((one) => one.SchedulingEligibility === "eligible").length;
  return h("div", { class: "grid" },
    figure("Jobs", h("a", { href: "#/jobs", "data-key": "figure-jobs" }, more(jobs)), `${number("running")} running, ${number("pending")} pending, ${number("dead")} dead`),
    figure("Nodes", h("a", { href: "#/nodes", "data-key": "figure-nodes" }, more(nodes)), `${ready.length} ready, ${eligible} eligible`),
    figure("Applied index", raft.applied_index || "—", `term ${raft.term || "—"}, ${Number(raft.last_snapshot_index) ? `snapshot at ${raft.last_snapshot_index}` : "no snapshot yet"}`),
    figure("Failure tolerance", found ? String(found.FailureTolerance) : "—", found ? (found.Healthy ? "all servers are healthy" : "not all servers are healthy") : "not readable with this token"));
}

const latest = (list) => flush("Latest evaluations", table("Latest evaluations", ["Evaluation", "Job", "Status", { title: "Triggered by", class: "hide-narrow" }, { title: "Created", class: "hide-narrow" }],
  list.map((one) => [link(`#/evaluations/${one.ID}`, mono(short(one.ID))), link(jobLink(one.Namespace, one.JobID), one.JobID), badge(one.Status), one.TriggeredBy, time(one.CreateTime)]), "No evaluations yet."));

export default async function overview(root, _params, { signal }) {
  const state = { jobs: { rows: [] }, nodes: { rows: [] }, evaluations: [], members: [], leader: "", self: null, health: null };
  const draw = () => {
    if (signal.aborted || !state.asked) return;
    show(root, header(null, "Overview", h("a", { class: "button primary", href: "#/run" }, "Run a job")),
      !state.leader && h("div", { class: "notice bad" }, h("strong", {}, "The cluster has no leader. "), "Writes are refused until a majority of the servers is there; stale reads go on."),
      figures(state), servers(state), latest(state.evaluations));
  };
  const ask = async () => {
    const [self, members, leader, found, evaluations] = await Promise.all([
      allowed(get("/v1/agent/self", signal), null), allowed(get("/v1/agent/members", signal), null), get("/v1/status/leader", signal).catch(() => ""),
      health(signal), allowed(get("/v1/evaluations?namespace=*&per_page=8&reverse=true&stale", signal), [])]);
    Object.assign(state, { self, members: members?.Members || [], leader, health: found, evaluations, asked: true });
    draw();
  };
  const list = (name, target) => follow(target, (rows, { next }) => { state[name] = { rows: rows || [], next }; draw(); }, signal, () => {});
  list("jobs", `/v1/jobs?namespace=*&per_page=${ROWS_MAX}`);
  list("nodes", `/v1/nodes?per_page=${ROWS_MAX}`);
  await poll(MEMBERS_MS, ask, signal);
}
