// One allocation: its tasks and what happened to them, what it got, its logs as they come.
import { act, badge, button, card, facts, h, header, link, mono, short, show, time, timeline } from "../dom.js";
import { ApiError, follow, headers, hold, path, put, query, within } from "../api.js";
import { jobLink } from "./jobs.js";

const LOG_CHARACTERS = 200000;
const TAIL_BYTES = 20000;

async function tail(id, task, type, output, signal) {
  const target = query(path("client", "fs", "logs", id), { task, type, follow: true, plain: true, origin: "end", offset: TAIL_BYTES });
  const answer = await fetch(target, { headers: headers(), signal });
  if (!answer.ok) throw new ApiError(answer.status, await answer.text());
  const reader = answer.body.getReader();
  const decoder = new TextDecoder();
  output.textContent = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const atEnd = output.scrollTop + output.clientHeight >= output.scrollHeight - 8;
    output.textContent = (output.textContent + decoder.decode(value, { stream: true })).slice(-LOG_CHARACTERS);
    if (atEnd) output.scrollTop = output.scrollHeight;
  }
}

// The log of tasks, as long as they run; a connection that breaks is made again.
function logs(id, tasks, isRunning, signal) {
  const output = h("pre", { class: "block log", tabindex: "0", "aria-label": "Log", "data-key": "log" });
  const task = h("select", { "aria-label": "Task", "data-key": "log-task", onchange: () => begin() }, tasks.map((one) => h("option", { value: one }, one)));
  const type = h("select", { "aria-label": "Stream", "data-key": "log-type", onchange: () => begin() }, ["stdout", "stderr"].map((one) => h("option", { value: one }, one)));
  let ending = new AbortController();
  const begin = async () => {
    ending.abort();
    ending = within(signal);
    output.textContent = "";
    const stream = async (limits) => { await tail(id, task.value, type.value, output, limits); return isRunning(task.value); };
    await hold(stream, ending.signal, (error) => output.append(`\n[${error.message}]\n`));
  };
  begin();
  return card("Log", h("div", { class: "filter" }, task, type), output);
}

const REASONS = ["exit_code", "exit_message", "kill_error", "driver_error", "setup_error", "validation_error", "download_error"];
const said = (event) => event.DisplayMessage || event.Message || REASONS.map((one) => event.Details?.[one]).filter(Boolean).join(", ");

function taskCard(name, task) {
  return card(h("span", {}, `Task ${name} `, badge(task.Failed ? "failed" : task.State, task.Failed ? "bad" : undefined)),
    h("p", { class: "dim" }, task.Restarts ? `${task.Restarts} restarts, the last ` : "no restarts", task.Restarts ? time(task.LastRestart) : ""),
    timeline(`Events of task ${name}, the newest first`, (task.Events || []).toReversed().map((one) => [time(one.Time), h("strong", {}, one.Type), " ", said(one)])));
}

function about(found) {
  const resources = found.AllocatedResources;
  const total = (pick) => Object.values(resources?.Tasks || {}).reduce((sum, one) => sum + pick(one), 0);
  const ports = (resources?.Shared?.Ports || []).map((one) => `${one.Label} ${one.HostIP}:${one.Value}`).join(", ");
  const health = found.DeploymentStatus?.Healthy;
  const other = (id) => id && link(`#/allocations/${id}`, mono(short(id)));
  return card(null, facts([["Name", found.Name], ["Node", link(`#/nodes/${found.NodeID}`, found.NodeName || short(found.NodeID))], ["Desired", found.DesiredStatus],
    ["Reason", found.DesiredDescription], ["Client status", found.ClientDescription], ["Job version", found.Job?.Version],
    ["Health", health === undefined || health === null ? "" : badge(health ? "healthy" : "unhealthy")], ["Evaluation", link(`#/evaluations/${found.EvalID}`, mono(short(found.EvalID)))],
    ["Reserved", `${total((one) => one.Cpu.CpuShares)} MHz, ${total((one) => one.Memory.MemoryMB)} MB`], ["Ports", ports],
    ["Replaces", other(found.PreviousAllocation)], ["Replaced by", other(found.NextAllocation)], ["Created", time(found.CreateTime)], ["ID", mono(found.ID)]]));
}

const actions = (found) => found.DesiredStatus === "run" && [
  button("Restart", () => act("Restart the allocation", `Restart all tasks of ${found.Name} in place?`, "Restart", () => put(path("client", "allocation", found.ID, "restart"), { AllTasks: true }))),
  button("Stop", () => act("Stop the allocation", `Stop ${found.Name}? The scheduler places another where the job wants one.`, "Stop", () => put(path("allocation", found.ID, "stop")), { danger: true }), { kind: "danger" }),
];

export default async function allocation(root, [id], { signal, fail }) {
  const state = h("div");
  const tailing = h("div");
  let states = {};
  let hasLogs = false;
  show(root, state, tailing);
  await follow(path("allocation", id), (found) => {
    states = found.TaskStates || {};
    const tasks = Object.entries(states);
    show(state, header([link("#/jobs", "Jobs"), " / ", link(jobLink(found.Namespace, found.JobID, "allocations"), found.JobID), " / ", found.TaskGroup],
      [mono(short(found.ID)), " ", badge(found.ClientStatus)], actions(found)), about(found), tasks.map(([name, task]) => taskCard(name, task)));
    const started = tasks.filter(([, task]) => task.StartedAt && !task.StartedAt.startsWith("0001")).map(([name]) => name);
    if (!hasLogs && started.length) {
      hasLogs = true;
      show(tailing, logs(found.ID, tasks.map(([name]) => name), (name) => states[name]?.State === "running", signal));
    }
  }, signal, fail);
}
