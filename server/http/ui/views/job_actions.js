// What can be done about a job.
import { act, button, field, h, say } from "../dom.js";
import { put, request } from "../api.js";
import { jobLink } from "./jobs.js";

function encoded(text) {
  let made = "";
  for (const one of new TextEncoder().encode(text)) made += String.fromCharCode(one);
  return btoa(made);
}

async function dispatch(job, q) {
  const wants = job.ParameterizedJob;
  const metas = [...(wants.MetaRequired || []).map((name) => [name, true]), ...(wants.MetaOptional || []).map((name) => [name, false])]
    .map(([name, required]) => [name, h("input", { id: `meta-${name}`, required, autocomplete: "off" }), required]);
  const payload = h("textarea", { id: "payload", class: "low", required: wants.Payload === "required", spellcheck: "false" });
  const fields = [metas.map(([name, input, required]) => field(`${name}${required ? " (required)" : ""}`, input)),
    wants.Payload !== "forbidden" && field(`Payload${wants.Payload === "required" ? " (required)" : ""}`, payload)];
  let child = "";
  const send = async () => {
    const Meta = Object.fromEntries(metas.filter(([, input, required]) => required || input.value).map(([name, input]) => [name, input.value]));
    child = (await put(q("dispatch"), { Meta, ...(payload.value ? { Payload: encoded(payload.value) } : {}) })).DispatchedJobID;
  };
  if (await act("Dispatch the job", `A child of ${job.ID} is started.`, "Dispatch", send, { fields })) location.hash = jobLink(job.Namespace, child);
}

async function stop(job, q) {
  const purge = h("input", { type: "checkbox", id: "purge" });
  const fields = h("label", { class: "check" }, purge, " Purge: remove the job, its versions and its allocations as well");
  const [verb, text] = job.Stop ? ["Purge", `Remove ${job.ID}, its versions and its allocations? This cannot be undone.`] : ["Stop", `Stop all allocations of ${job.ID}? It stays listed as dead.`];
  const isPurge = () => job.Stop || purge.checked;
  const done = await act(`${verb} the job`, text, verb, () => request("DELETE", q() + (isPurge() ? "&purge=true" : "")), { danger: true, fields: !job.Stop && fields });
  if (done && isPurge()) location.hash = "#/jobs";
}

// Start again what was stopped: the same content, as a new version.
const start = (job, q) => act("Start the job", `Run ${job.ID} again, as version ${job.Version} has it?`, "Start",
  () => put(q(), { Job: { ...job, Stop: false }, EnforceIndex: true, JobModifyIndex: job.JobModifyIndex }));

export function actions(job, q) {
  const isTemplate = job.ParameterizedJob && !job.Dispatched;
  return [
    job.Periodic && !job.Stop && button("Launch now", () => act("Launch a child", `Launch a child of ${job.ID} now?`, "Launch", () => put(q("periodic", "force")))),
    isTemplate && !job.Stop && button("Dispatch", () => dispatch(job, q)),
    !job.Periodic && !isTemplate && !job.Stop && button("Evaluate", () => act("Evaluate the job", `Let the scheduler look at ${job.ID} again?`, "Evaluate", () => put(q("evaluate"), { JobID: job.ID }))),
    h("a", { class: "button", href: `#/run?job=${encodeURIComponent(job.ID)}&namespace=${encodeURIComponent(job.Namespace)}`, "data-key": "edit" }, "Edit"),
    job.Stop && button("Start", () => start(job, q)),
    button(job.Stop ? "Purge" : "Stop", () => stop(job, q), { kind: "danger", key: "stop" }),
  ];
}

export function revert(job, version, q) {
  return act(`Revert to version ${version}`, `Make the content of version ${version} the newest version of ${job.ID}?`, "Revert",
    () => put(q("revert"), { JobID: job.ID, JobVersion: version, EnforcePriorVersion: job.Version }));
}

export async function scale(group, input, q) {
  if (!/^\d+$/.test(input.value)) { say("A count is a whole number, 0 or more.", "bad"); return; }
  const done = await act("Scale the group", `Change the count of ${group.Name} from ${group.Count} to ${input.value}?`, "Scale",
    () => put(q("scale"), { Count: Number(input.value), Target: { Group: group.Name }, Message: "from the web page" }));
  if (done) input.defaultValue = input.value;
}
