// Run a job: source in, what would change, then the registration, only if nothing changed meanwhile.
import { badge, card, count, h, header, link, say, show } from "../dom.js";
import { get, namespace, path, put, query } from "../api.js";
import { diffLines } from "./diff.js";
import { jobLink } from "./jobs.js";
import { unplaced } from "./placement.js";

const EXAMPLE = `job "example" {
  group "app" {
    count = 1
    task "server" {
      driver = "mock_driver"
      config {
        run_for = "1h"
      }
      resources {
        cpu    = 50
        memory = 32
      }
    }
  }
}
`;

// What a job was made from; without it the job as JSON.
async function sourceOf(id, space, signal) {
  const given = { namespace: space };
  const job = await get(query(path("job", id), given), signal);
  const source = await get(query(path("job", id, "submission"), { ...given, version: job.Version }), signal).catch(() => null);
  return source?.Source || JSON.stringify({ Job: job }, null, 2);
}

async function parse(text) {
  if (text.trim().startsWith("{")) { const given = JSON.parse(text); return [given.Job || given, "json"]; }
  return [await put("/v1/jobs/parse", { JobHCL: text, Canonicalize: true }), "hcl2"];
}

const DOES = { Place: "placed", InPlaceUpdate: "updated in place", DestructiveUpdate: "replaced", Canary: "placed as canaries", Migrate: "moved", Stop: "stopped", Preemptions: "preempted" };
const updates = (found) => Object.entries(found.Annotations?.DesiredTGUpdates || {}).map(([group, changes]) => {
  const said = Object.entries(DOES).filter(([name]) => changes[name]).map(([name, text]) => `${count(changes[name], "allocation")} ${text}`);
  return h("p", {}, h("strong", {}, `Group "${group}": `), said.join(", ") || "nothing is placed or stopped");
});

export default async function run(root, _params, { signal, query: given }) {
  const editing = given.get("job");
  const source = h("textarea", { id: "source", spellcheck: "false", autocapitalize: "off", autocomplete: "off", value: editing ? await sourceOf(editing, given.get("namespace") || "default", signal) : EXAMPLE });
  const result = h("div", { "aria-live": "polite" });
  let planned = 0;
  const notice = (error) => show(result, h("div", { class: "notice bad" }, error.message || String(error)));
  const plan = async () => {
    const own = ++planned;
    show(result, h("p", { class: "dim" }, "Planning…"));
    try {
      const text = source.value;
      const [job, format] = await parse(text);
      if (!job?.ID) throw new Error("The job has no ID.");
      const space = job.Namespace || (namespace() === "*" ? "default" : namespace());
      job.Namespace = space;
      const found = await put(query(path("job", job.ID, "plan"), { namespace: space }), { Job: job, Diff: true });
      if (own !== planned) return;
      const kind = { Added: "new job", None: "no change" }[found.Diff?.Type] || "new version";
      show(result, card(h("span", {}, `Plan of ${job.ID} `, badge(kind, "info")), found.Warnings && h("div", { class: "notice wait" }, found.Warnings),
        unplaced(found.FailedTGAllocs), updates(found), diffLines(found.Diff) || h("p", { class: "dim" }, "Nothing would change."),
        h("div", { class: "actions" }, h("button", { type: "button", class: "primary", "data-key": "run", onclick: () => register(job, space, found.JobModifyIndex, { Source: text, Format: format }) }, "Run"))));
      result.scrollIntoView({ block: "nearest" });
    } catch (error) { if (own === planned) notice(error); }
  };
  // The index of the plan goes with it: if somebody else was faster the server refuses.
  const register = async (job, space, index, submission) => {
    try {
      await put(query("/v1/jobs", { namespace: space }), { Job: job, EnforceIndex: true, JobModifyIndex: index, Submission: submission });
      say(`${job.ID} is registered`);
      location.hash = jobLink(space, job.ID);
    } catch (error) { notice(error); }
  };
  source.addEventListener("input", () => { planned += 1; show(result); });
  source.addEventListener("keydown", (event) => { if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) { event.preventDefault(); plan(); } });
  show(root, header([link("#/jobs", "Jobs")], editing ? `Edit ${editing}` : "Run a job"), card(null, h("form", { onsubmit: (event) => { event.preventDefault(); plan(); } },
    h("div", { class: "field" }, h("label", { for: "source" }, "Job file (HCL or JSON)"), source),
    h("div", { class: "actions" }, h("button", { type: "submit", class: "primary", "data-key": "plan" }, "Plan"), h("span", { class: "dim hint" }, "A plan changes nothing. Ctrl+Enter in the field plans as well.")))), result);
}
