// Nodes: what there is, what is on it, and taking a node out of service.
import { act, badge, bar, button, card, facts, field, flush, h, header, kindOf, link, mono, show, table, time, timeline } from "../dom.js";
import { follow, path, put, query } from "../api.js";
import { ALLOCATION_COLUMNS_OF_NODE, allocationRows } from "./allocations.js";
import { listing } from "./listing.js";

const HOUR = 3600e9;
const SQUARES_MAX = 60;
const ON_NODES = query("/v1/allocations", { namespace: "*", reverse: true, per_page: 2000, task_states: false, filter: "ClientStatus == `running` or ClientStatus == `pending`" });
const stateOf = (one) => [badge(one.Status), one.Drain ? [" ", badge("draining")] : one.SchedulingEligibility !== "eligible" ? [" ", badge("ineligible")] : null];
const drivers = (one) => Object.entries(one.Drivers || {}).filter(([, driver]) => driver.Healthy).map(([name]) => name).join(", ");

function meter(title, used, all, unit) {
  const share = all ? Math.round((100 * used) / all) : 0;
  return bar([["reserved", used, share > 90 ? "wait" : "good"], ["free", Math.max(0, all - used), "none"]], `${title} in ${unit}`, `${share}%`);
}

// What runs on a node as small squares, each a link.
function squares(own, isAll) {
  if (!own.length) return h("span", { class: "dim" }, isAll ? "none" : "not among the newest");
  const rest = own.length - SQUARES_MAX;
  return h("div", { class: "blocks" }, own.slice(0, SQUARES_MAX).map((one) => h("a", {
    href: `#/allocations/${one.ID}`, class: kindOf(one.ClientStatus), title: `${one.Name}: ${one.ClientStatus}`, "aria-label": `${one.Name}: ${one.ClientStatus}` })),
  rest > 0 && h("span", { class: "dim" }, `and ${rest} more`));
}

export function nodes(root, _params, context) {
  let byNode = {};
  let isAll = true;
  return listing(root, context, {
    title: "Nodes", hint: "Search nodes by name, class or datacenter", target: "/v1/nodes", params: {}, fields: ["Name", "NodeClass", "Datacenter"],
    choices: { Status: { title: "Any status", options: ["ready", "initializing", "down", "disconnected"] }, SchedulingEligibility: { title: "Any eligibility", options: ["eligible", "ineligible"] } },
    columns: ["Node", "Status", "Allocations", { title: "Datacenter", class: "hide-narrow" }, { title: "Pool", class: "hide-narrow" }, { title: "Class", class: "hide-narrow" }, { title: "Version", class: "hide-narrow" }],
    row: (one) => [link(`#/nodes/${one.ID}`, one.Name), stateOf(one), squares(byNode[one.ID] || [], isAll), one.Datacenter, one.NodePool, one.NodeClass || "—", one.Version],
    empty: "No nodes yet: start an agent with client { enabled = true }.",
    also: (again, signal) => follow(ON_NODES, (found, { next }) => {
      byNode = Object.groupBy(found || [], (one) => one.NodeID);
      isAll = !next;
      again();
    }, signal, () => {}),
  });
}

async function drain(found) {
  const deadline = h("select", { id: "deadline" }, [["1 hour", HOUR], ["10 minutes", HOUR / 6], ["24 hours", 24 * HOUR], ["none: wait as long as it takes", 0], ["now: stop everything at once", -1]]
    .map(([text, value]) => h("option", { value }, text)));
  const system = h("input", { type: "checkbox", id: "system" });
  const fields = [field("Deadline", deadline), h("label", { class: "check" }, system, " Leave system jobs on the node")];
  await act("Drain the node", `Move all allocations of ${found.Name} to other nodes, and place none here?`, "Drain",
    () => put(path("node", found.ID, "drain"), { DrainSpec: { Deadline: Number(deadline.value), IgnoreSystemJobs: system.checked } }), { danger: true, fields });
}

function actions(found) {
  if (found.DrainStrategy) {
    return button("Stop the drain", () => act("Stop the drain", `Let ${found.Name} take allocations again?`, "Stop the drain", () => put(path("node", found.ID, "drain"), { DrainSpec: null, MarkEligible: true })));
  }
  const [verb, text, to] = found.SchedulingEligibility === "eligible" ? ["Mark ineligible", "Place nothing new on it? What runs goes on.", "ineligible"] : ["Mark eligible", "Place allocations on it again?", "eligible"];
  return [button(verb, () => act(verb, `${found.Name}: ${text}`, verb, () => put(path("node", found.ID, "eligibility"), { NodeID: found.ID, Eligibility: to })), { key: "eligible" }),
    button("Drain", () => drain(found), { kind: "danger" })];
}

function room(found, allocs) {
  const live = allocs.filter((one) => !["complete", "failed", "lost"].includes(one.ClientStatus));
  const used = (pick) => live.reduce((sum, one) => sum + Object.values(one.AllocatedResources?.Tasks || {}).reduce((total, task) => total + pick(task), 0), 0);
  const of = (pick) => (pick(found.NodeResources) || 0) - (pick(found.ReservedResources) || 0);
  const one = (title, taken, all, unit) => h("section", { class: "card" }, h("h2", { class: "label" }, title),
    h("div", { class: "figure" }, taken.toLocaleString("en"), h("small", {}, ` of ${all.toLocaleString("en")} ${unit} reserved`)), meter(title, taken, all, unit));
  return h("div", { class: "grid" },
    one("CPU", used((task) => task.Cpu.CpuShares), of((from) => from?.Cpu?.CpuShares), "MHz"),
    one("Memory", used((task) => task.Memory.MemoryMB), of((from) => from?.Memory?.MemoryMB), "MB"));
}

const attributes = (title, found) => Object.keys(found || {}).length > 0 && h("details", { class: "card", "data-key": title }, h("summary", {}, title),
  facts(Object.entries(found).sort(([a], [b]) => a.localeCompare(b)).map(([name, value]) => [name, String(value)])));

export async function node(root, [id], { signal, fail }) {
  let current = null;
  let allocs = null;
  const draw = () => {
    if (!current || !allocs) return;
    show(root, header([link("#/nodes", "Nodes")], [current.Name, " ", stateOf({ ...current, Drain: Boolean(current.DrainStrategy) })], actions(current)), room(current, allocs),
      card(null, facts([["ID", mono(current.ID)], ["Address", current.HTTPAddr], ["Datacenter", current.Datacenter], ["Pool", current.NodePool], ["Class", current.NodeClass],
        ["Drivers", drivers(current)], ["Description", current.StatusDescription], ["Drain deadline", current.DrainStrategy && !current.DrainStrategy.ForceDeadline?.startsWith("0001") ? time(current.DrainStrategy.ForceDeadline) : ""]])),
      flush("Allocations", table("Allocations", ALLOCATION_COLUMNS_OF_NODE, allocationRows(allocs, true), "No allocations.")),
      card("Events", timeline("Events of the node, the newest first", (current.Events || []).toReversed().map((one) => [time(one.Timestamp), h("strong", {}, one.Subsystem), " ", one.Message]))),
      attributes("Meta", current.Meta), attributes("Attributes", current.Attributes));
  };
  follow(path("node", id, "allocations"), (data) => { allocs = data || []; draw(); }, signal, fail);
  await follow(path("node", id), (found) => { current = found; draw(); }, signal, fail);
}
