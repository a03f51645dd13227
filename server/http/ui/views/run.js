// Run a job: source in, what would change, then the registration, only if nothing changed meanwhile.
import { badge, card, h, header, say, show } from "../dom.js";
import { ApiError, get, namespace, path, put } from "../api.js";
import { diffLines } from "./diff.js";
import { explain } from "./evaluations.js";
import { jobLink } from "./jobs.js";

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

export default async function run(root) {
  const source = h("textarea", { id: "source", spellcheck: "false", autocapitalize: "off", value: EXAMPLE });
  const result = h("div", { "aria-live": "polite" });
  const parsed = async () => {
    const text = source.value.trim();
    if (text.startsWith("{")) { const given = JSON.parse(text); return given.Job || given; }
    return put("/v1/jobs/parse", { JobHCL: source.value, Canonicalize: true });
  };
  const plan = async () => {
    show(result, h("p", { class: "dim" }, "Looking…"));
    try {
      const job = await parsed();
      const space = job.Namespace && job.Namespace !== "" ? job.Namespace : namespace() === "*" ? "default" : namespace();
      job.Namespace = space;
      const found = await put(`${path("job", job.ID, "plan")}?namespace=${encodeURIComponent(space)}`, { Job: job, Diff: true });
      const failures = Object.entries(found.FailedTGAllocs || {});
      show(result, card(h("span", {}, `Plan of ${job.ID} `, badge(found.Diff?.Type === "Added" ? "new job" : found.Diff?.Type === "None" ? "no change" : "new version", "info")),
        found.Warnings && h("div", { class: "notice wait" }, found.Warnings), failures.map(([name, metric]) => h("div", { class: "notice bad" }, h("strong", {}, `Group "${name}" would not be placed. `), explain(metric))),
        diffLines(found.Diff) || h("p", { class: "dim" }, "Nothing would change."),
        h("div", { class: "actions" }, h("button", { type: "button", class: "primary", onclick: () => register(job, space, found.JobModifyIndex) }, "Run"))));
    } catch (error) { show(result, h("div", { class: "notice bad" }, error instanceof ApiError || error instanceof SyntaxError ? error.message : String(error))); }
  };
  const register = async (job, space, index) => {
    try {
      await put(`/v1/jobs?namespace=${encodeURIComponent(space)}`, { Job: job, EnforceIndex: true, JobModifyIndex: index });
      say(`${job.ID} is registered`);
      location.hash = jobLink(space, job.ID);
    } catch (error) { say(error.status === 409 ? "Somebody changed the job meanwhile: plan again." : error.message, "bad"); }
  };
  show(root, header([h("a", { href: "#/jobs" }, "Jobs")], "Run a job"), card(null, h("form", { onsubmit: (event) => { event.preventDefault(); plan(); } },
    h("div", { class: "field" }, h("label", { for: "source" }, "Job file (HCL or JSON)"), source), h("button", { type: "submit", class: "primary", "data-key": "plan" }, "Plan"))), result);
}
