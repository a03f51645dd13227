// Evaluations: what the scheduler decided, and why.
import { badge, card, facts, flush, header, link, mono, short, show, table, time } from "../dom.js";
import { follow, get, namespace, path } from "../api.js";
import { ALLOCATION_COLUMNS, allocationRows } from "./allocations.js";
import { jobLink } from "./jobs.js";
import { listing } from "./listing.js";
import { unplaced } from "./placement.js";

const idLink = (id) => id && link(`#/evaluations/${id}`, mono(short(id)));
export const placement = (one) => (Object.keys(one.FailedTGAllocs || {}).length ? badge("failures", "bad") : "—");

export const evaluations = (root, _params, context) => listing(root, context, {
  title: "Evaluations", hint: "Search evaluations by job", target: "/v1/evaluations", params: { namespace: namespace(), reverse: true }, fields: ["JobID"],
  choices: { Status: { title: "Any status", options: ["pending", "complete", "blocked", "failed", "canceled"] } },
  columns: ["Evaluation", "Job", "Status", { title: "Triggered by", class: "hide-narrow" }, { title: "Placement", class: "hide-narrow" }, { title: "Created", class: "hide-narrow" }],
  row: (one) => [idLink(one.ID), link(jobLink(one.Namespace, one.JobID), one.JobID), badge(one.Status), one.TriggeredBy, placement(one), time(one.CreateTime)],
  empty: "No evaluations yet.",
});

export async function evaluation(root, [id], { signal, fail }) {
  await follow(path("evaluation", id), async (found) => {
    const allocs = await get(path("evaluation", id, "allocations"), signal);
    const waits = found.WaitUntil && !found.WaitUntil.startsWith("0001") ? time(found.WaitUntil) : "";
    const blocked = found.Status === "blocked" ? found.ID : found.BlockedEval;
    show(root, header([link("#/evaluations", "Evaluations"), " / ", link(jobLink(found.Namespace, found.JobID), found.JobID)], [mono(short(found.ID)), " ", badge(found.Status)]),
      unplaced(found.FailedTGAllocs, blocked),
      card(null, facts([["Job", link(jobLink(found.Namespace, found.JobID), found.JobID)], ["Type", found.Type], ["Priority", found.Priority], ["Triggered by", found.TriggeredBy],
        ["Description", found.StatusDescription], ["Queued", Object.entries(found.QueuedAllocations || {}).map(([name, number]) => `${name}: ${number}`).join(", ")],
        ["Previous", idLink(found.PreviousEval)], ["Next", idLink(found.NextEval)], ["Blocked", idLink(found.BlockedEval)], ["Waits until", waits],
        ["Created", time(found.CreateTime)], ["Changed", time(found.ModifyTime)], ["ID", mono(found.ID)]])),
      flush("Placed allocations", table("Placed allocations", ALLOCATION_COLUMNS, allocationRows(allocs), "None.")));
  }, signal, fail);
}
