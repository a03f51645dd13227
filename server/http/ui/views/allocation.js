// One allocation: its tasks and what happened to them, what it got, its logs as they come.
import { ask, badge, card, facts, h, header, link, say, short, show, time } from "../dom.js";
import { follow, path, put, token } from "../api.js";
import { jobLink } from "./jobs.js";

const LOG_CHARACTERS = 200000;

async function tail(id, task, type, output, signal) {
  const headers = token() ? { "X-Nomad-Token": token() } : {};
  const answer = await fetch(`${path("client", "fs", "logs", id)}?task=${encodeURIComponent(task)}&type=${type}&follow=true&plain=true&origin=end&offset=20000`, { headers, signal });
  if (!answer.ok) { output.textContent = await answer.text(); return; }
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

function logs(found, signal) {
  const tasks = Object.keys(found.TaskStates || {});
  if (!tasks.length) return null;
  const output = h("pre", { class: "block", tabindex: "0", "aria-label": "Log" }, "…");
  const task = h("select", { "aria-label": "Task", "data-key": "log-task" }, tasks.map((one) => h("option", { value: one }, one)));
  const type = h("select", { "aria-label": "Stream", "data-key": "log-type" }, ["stdout", "stderr"].map((one) => h("option", { value: one }, one)));
  let ending = new AbortController();
  signal.addEventListener("abort", () => ending.abort());
  const begin = () => {
    ending.abort();
    ending = new AbortController();
    output.textContent = "";
    tail(found.ID, task.value, type.value, output, ending.signal).catch((error) => { if (error.name !== "AbortError") output.textContent = error.message; });
  };
  task.addEventListener("change", begin);
  type.addEventListener("change", begin);
  begin();
  return card("Log", h("div", { class: "filter" }, task, type), output);
}

export default async function allocation(root, [id], { signal, fail }) {
  const state = h("div");
  const tail = h("div");
  let hasLogs = false;
  const act = async (verb, text, danger) => {
    if (!(await ask(verb, text, verb, danger))) return;
    try { await put(verb === "Restart" ? path("client", "allocation", id, "restart") : path("allocation", id, "stop"), verb === "Restart" ? { AllTasks: true } : undefined); say(`${verb}: done`); } catch (error) { say(`${verb} failed: ${error.message}`, "bad"); }
  };
  show(root, state, tail);
  await follow(path("allocation", id), (found) => {
    const resources = found.AllocatedResources;
    const cpu = Object.values(resources?.Tasks || {}).reduce((sum, one) => sum + one.Cpu.CpuShares, 0);
    const memory = Object.values(resources?.Tasks || {}).reduce((sum, one) => sum + one.Memory.MemoryMB, 0);
    const ports = (resources?.Shared?.Ports || []).map((one) => `${one.Label} ${one.HostIP}:${one.Value}`).join(", ");
    const health = found.DeploymentStatus?.Healthy;
    show(state, header([h("a", { href: jobLink(found.Namespace, found.JobID, "allocations") }, found.JobID), " / ", found.TaskGroup], [h("span", { class: "mono" }, short(found.ID)), " ", badge(found.ClientStatus)],
      found.DesiredStatus === "run" && [h("button", { type: "button", "data-key": "restart", onclick: () => act("Restart", "Restart all tasks of this allocation?") }, "Restart"), h("button", { type: "button", class: "danger", "data-key": "stop", onclick: () => act("Stop", "Stop this allocation? Another takes its place.", true) }, "Stop")]),
    card(null, facts([["Name", found.Name], ["Node", link(`#/nodes/${found.NodeID}`, found.NodeName || short(found.NodeID))], ["Wanted", found.DesiredStatus], ["Why", found.DesiredDescription], ["Client says", found.ClientDescription], ["Version", found.Job?.Version], ["Health", health === undefined || health === null ? "" : badge(health ? "healthy" : "unhealthy")],
      ["Evaluation", link(`#/evaluations/${found.EvalID}`, h("span", { class: "mono" }, short(found.EvalID)))], ["Reserved", `${cpu} MHz, ${memory} MB`], ["Ports", ports], ["Replaces", found.PreviousAllocation && link(`#/allocations/${found.PreviousAllocation}`, short(found.PreviousAllocation))], ["Replaced by", found.NextAllocation && link(`#/allocations/${found.NextAllocation}`, short(found.NextAllocation))], ["Created", time(found.CreateTime)]])),
    Object.entries(found.TaskStates || {}).map(([name, task]) => card(h("span", {}, `Task ${name} `, badge(task.Failed ? "failed" : task.State, task.Failed ? "bad" : undefined), task.Restarts ? ` ${task.Restarts} restarts` : ""),
      h("ol", { class: "timeline" }, (task.Events || []).slice().reverse().map((one) => h("li", {}, time(one.Time), h("div", {}, h("strong", {}, one.Type), " ", one.DisplayMessage || one.Message || "")))))));
    if (!hasLogs && Object.keys(found.TaskStates || {}).length) { hasLogs = true; const made = logs(found, signal); if (made) show(tail, made); }
  }, signal, fail);
}
