// What happens, as it happens.
import { badge, button, card, h, header, link, short, show } from "../dom.js";
import { ApiError, headers, hold, namespace, query, within } from "../api.js";
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

const line = (event) => h("li", {}, h("span", { class: "dim" }, `index ${event.Index}`), h("div", {}, h("strong", {}, event.Topic), ` ${event.Type} `, about(event)));

// The stream's lines, each a batch of events, until it ends.
async function read(target, tell, signal) {
  const answer = await fetch(target, { headers: headers(), signal });
  if (!answer.ok) throw new ApiError(answer.status, await answer.text());
  const reader = answer.body.getReader();
  const decoder = new TextDecoder();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const lines = (rest + decoder.decode(value, { stream: true })).split("\n");
    rest = lines.pop();
    tell(lines.flatMap((one) => JSON.parse(one || "{}").Events || []));
  }
}

export default async function events(root, _params, { signal, query: given, setQuery }) {
  const list = h("ol", { class: "timeline", "aria-label": "Events, the newest first" });
  const note = h("p", { class: "dim", role: "status" });
  const topic = h("select", { "aria-label": "Topic", value: given.get("topic") || "*", onchange: () => { setQuery({ topic: topic.value === "*" ? "" : topic.value }); newest = 0; list.replaceChildren(); begin(); } },
    h("option", { value: "*" }, "All topics"), TOPICS.map((one) => h("option", { value: one }, one)));
  const pause = button("Pause", () => { paused = !paused; pause.textContent = paused ? "Resume" : "Pause"; tell(paused ? [] : held.splice(0)); });
  let ending = new AbortController();
  let newest = 0;
  let paused = false;
  const held = [];

  const tell = (found) => {
    if (found.length) newest = found.at(-1).Index;
    if (paused) {
      held.push(...found);
      held.splice(0, held.length - LINES_MAX);
      note.textContent = held.length ? `Paused: ${held.length === LINES_MAX ? "the newest " : ""}${held.length} events wait.` : "Paused.";
      return;
    }
    list.prepend(...found.slice(-LINES_MAX).map(line).reverse());
    while (list.children.length > LINES_MAX) list.lastChild.remove();
    note.textContent = list.children.length ? "" : "Waiting for something to happen…";
  };
  // A stream that breaks goes on behind the newest event that was seen.
  const begin = async () => {
    ending.abort();
    ending = within(signal);
    const own = ending.signal;
    tell([]);
    const stream = (limits) => read(query("/v1/event/stream", { topic: topic.value, namespace: namespace(), index: newest ? newest + 1 : "" }), tell, limits);
    await hold(stream, own, (error) => { note.textContent = error.message; });
  };
  show(root, header(null, "Events"), h("div", { class: "filter" }, topic, pause), note, card(null, list));
  begin();
}
