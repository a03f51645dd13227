// Allocations as rows of a table.
import { badge, link, mono, short, time } from "../dom.js";
import { jobLink } from "./jobs.js";

const columns = (...middle) => ["Allocation", ...middle, "Status", { title: "Desired", class: "hide-narrow" },
  { title: "Version", class: "num hide-narrow" }, { title: "Changed", class: "hide-narrow" }];

export const ALLOCATION_COLUMNS = columns("Group", { title: "Node", class: "hide-narrow" });
export const ALLOCATION_COLUMNS_OF_NODE = columns("Job", { title: "Group", class: "hide-narrow" });

// The newest first; of one job by node, of one node by job.
export const allocationRows = (list, ofNode) => (list || []).toSorted((a, b) => b.CreateIndex - a.CreateIndex).map((one) => [
  link(`#/allocations/${one.ID}`, mono(short(one.ID))), ofNode && link(jobLink(one.Namespace, one.JobID), one.JobID), one.TaskGroup,
  !ofNode && link(`#/nodes/${one.NodeID}`, one.NodeName || short(one.NodeID)), badge(one.ClientStatus),
  one.DesiredStatus === "run" ? "run" : badge(one.DesiredStatus, "off"), one.Job?.Version ?? one.JobVersion, time(one.ModifyTime)].filter((cell) => cell !== undefined && cell !== false));
