// What happens, as it happens.
import { badge, card, h, header, link, short, show } from "../dom.js";
import { namespace, token, ApiError } from "../api.js";
import { jobLink } from "./jobs.js";

const LINES_MAX = 300;
const TOPICS = ["Job", "Evaluation", "Allocation", "Deployment", "Node", "Service"];

function about(event) {
  const row = event.Payload[event.Topic] || {};
  const space = event.Namespace || "default";
  if (event.Topic === "Job") return [link(jobLink(space, event.Key), event.Key), " ", badge(row.Status)];
  if (event.Topic === "Allocation") return [link(`#/allocations/${event.Key}`, row.Name || short(event.Key)), " ", badge(row.ClientStatus)];
  if (event.Topic === "Evaluation") return [link(`#/evaluations/${event.Key}`, short(event.Key)), ` of ${row.JobID} `, badge(row.Status)];
  if (event.Topic === "Deployment") return [link(jobLink(space, row.JobID, "deployments"), row.JobID), " ", badge(row.Status)];
  if (event.Topic === "Node") return [link(`#/nodes/${event.Key}`, row.Name || short(event.Key)), " ", badge(row.Status)];
  return event.Key;
}

export default async function events(root, _params, { signal }) {
  const list = h("ol", { class: "timeline", "aria-label": "Events, the newest first" });
  const topic = h("select", { "aria-label": "Topic", onchange: () => begin() }, h("option", { value: "*" }, "Everything"), TOPICS.map((one) => h("option", { value: one }, one)));
  const note = h("p", { class: "dim", role: "status" }, "Waiting for something to happen…");
  let ending = new AbortController();
  signal.addEventListener("abort", () => ending.abort());
  const read = async (own) => {
    const headers = token() ? { "X-Nomad-Token": token() } : {};
    const answer = await fetch(`/v1/event/stream?topic=${topic.value}&namespace=${encodeURIComponent(namespace())}`, { headers, signal: own });
    if (!answer.ok) throw new ApiError(answer.status, await answer.text());
    const reader = answer.body.getReader();
    const decoder = new TextDecoder();
    let rest = "";
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      const lines = (rest + decoder.decode(value, { stream: true })).split("\n");
      rest = lines.pop();
      for (const line of lines) {
        for (const event of JSON.parse(line || "{}").Events || []) {
          note.textContent = "";
          list.prepend(h("li", {}, h("time", {}, `index ${event.Index}`), h("div", {}, h("strong", {}, event.Topic), ` ${event.Type} `, about(event))));
        }
      }
      while (list.children.length > LINES_MAX) list.lastChild.remove();
    }
  };
  const begin = async () => {
    ending.abort();
    ending = new AbortController();
    const own = ending.signal;
    list.replaceChildren();
    while (!own.aborted) {
      try { await read(own); } catch (error) {
        if (own.aborted) return;
        note.textContent = error.message;
        if (error.status === 403) return;
      }
      await new Promise((resolve) => setTimeout(resolve, 2000));
      list.replaceChildren();
    }
  };
  show(root, header(null, "Events"), h("div", { class: "filter" }, topic), note, card(null, list));
  begin();
}
