// Nodes: what there is, what is on it, and taking a node out of service.
import { ask, badge, bar, card, facts, flush, h, header, link, say, short, show, table, time, kindOf } from "../dom.js";
import { follow, get, path, put } from "../api.js";
import { ALLOCATION_COLUMNS, allocationRows } from "./job.js";

const stateOf = (one) => [badge(one.Status), one.Drain ? [" ", badge("draining")] : one.SchedulingEligibility !== "eligible" ? [" ", badge("ineligible")] : null];

export async function nodes(root, _params, { signal, fail }) {
  let found = [];
  let allocs = [];
  const list = h("div");
  const search = h("input", { type: "search", placeholder: "Filter by name, class or datacenter", "aria-label": "Filter nodes", "data-key": "search", oninput: () => draw() });
  show(root, header(null, "Nodes"), h("div", { class: "filter" }, search), list);
  const draw = () => {
    const text = search.value.toLowerCase();
    const rows = found.filter((one) => `${one.Name} ${one.NodeClass} ${one.Datacenter} ${one.NodePool}`.toLowerCase().includes(text));
    show(list, flush(null, table("Nodes", ["Node", "State", { title: "Datacenter", class: "hide-narrow" }, { title: "Pool", class: "hide-narrow" }, "Allocations"], rows.map((one) => {
      const own = allocs.filter((alloc) => alloc.NodeID === one.ID && ["running", "pending"].includes(alloc.ClientStatus));
      return [link(`#/nodes/${one.ID}`, one.Name), stateOf(one), one.Datacenter, one.NodePool,
        own.length ? h("div", { class: "blocks" }, own.slice(0, 60).map((alloc) => h("a", { href: `#/allocations/${alloc.ID}`, class: kindOf(alloc.ClientStatus), title: `${alloc.Name}: ${alloc.ClientStatus}`, "aria-label": `${alloc.Name}: ${alloc.ClientStatus}` }))) : h("span", { class: "dim" }, "none")];
    }), found.length ? "No node fits the filter." : "No nodes yet: start an agent with client { enabled = true }.")));
  };
  follow("/v1/allocations?namespace=*", (data) => { allocs = data; draw(); }, signal, () => {});
  await follow("/v1/nodes", (data) => { found = data; draw(); }, signal, fail);
}

export async function node(root, [id], { signal, fail }) {
  let current = null;
  let number = 0;
  const act = async (title, text, work, danger) => {
    if (!(await ask(title, text, title, danger))) return;
    try { await work(); say(`${title}: done`); } catch (error) { say(`${title} failed: ${error.message}`, "bad"); }
  };
  const draw = async () => {
    const own = ++number;
    const allocs = await get(path("node", id, "allocations"), signal).catch(() => []);
    if (signal.aborted || own !== number) return;
    const found = current;
    const live = allocs.filter((one) => !["complete", "failed", "lost"].includes(one.ClientStatus));
    const used = (pick) => live.reduce((sum, one) => sum + Object.values(one.AllocatedResources?.Tasks || {}).reduce((total, task) => total + pick(task), 0), 0);
    const cpu = [used((task) => task.Cpu.CpuShares), (found.NodeResources?.Cpu?.CpuShares || 0) - (found.ReservedResources?.Cpu?.CpuShares || 0)];
    const memory = [used((task) => task.Memory.MemoryMB), (found.NodeResources?.Memory?.MemoryMB || 0) - (found.ReservedResources?.Memory?.MemoryMB || 0)];
    const eligible = found.SchedulingEligibility === "eligible";
    const meter = (title, [taken, all], unit) => h("section", { class: "card" }, h("div", { class: "dim" }, title), h("div", { class: "figure small" }, `${taken} of ${all} ${unit}`), bar([["reserved", taken, "good"], ["free", Math.max(0, all - taken), "none"]], title));
    show(root, header([h("a", { href: "#/nodes" }, "Nodes")], [found.Name, " ", stateOf(found)],
      found.DrainStrategy ? h("button", { type: "button", onclick: () => act("Stop the drain", "Let the node take allocations again?", () => put(path("node", id, "drain"), { DrainSpec: null, MarkEligible: true })) }, "Stop the drain")
        : [h("button", { type: "button", "data-key": "eligible", onclick: () => act(eligible ? "Mark ineligible" : "Mark eligible", eligible ? "Place nothing new on this node?" : "Place allocations on this node again?", () => put(path("node", id, "eligibility"), { NodeID: id, Eligibility: eligible ? "ineligible" : "eligible" })) }, eligible ? "Mark ineligible" : "Mark eligible"),
          h("button", { type: "button", class: "danger", onclick: () => act("Drain", "Move all allocations to other nodes within an hour?", () => put(path("node", id, "drain"), { DrainSpec: { Deadline: 3600e9, IgnoreSystemJobs: false } }), true) }, "Drain")]),
    h("div", { class: "grid" }, meter("CPU", cpu, "MHz"), meter("Memory", memory, "MB")),
    card(null, facts([["ID", h("span", { class: "mono" }, found.ID)], ["Address", found.HTTPAddr], ["Datacenter", found.Datacenter], ["Pool", found.NodePool], ["Class", found.NodeClass], ["Drivers", Object.entries(found.Drivers || {}).filter(([, one]) => one.Healthy).map(([name]) => name).join(", ")]])),
    flush("Allocations", table("Allocations", ALLOCATION_COLUMNS, allocationRows(allocs.map((one) => ({ ...one, JobVersion: one.Job?.Version ?? one.JobVersion })).sort((a, b) => b.CreateIndex - a.CreateIndex)), "No allocations.")),
    card("Events", h("ol", { class: "timeline" }, (found.Events || []).slice().reverse().map((one) => h("li", {}, time(one.Timestamp), h("div", {}, h("strong", {}, one.Subsystem), " ", one.Message)))))
    );
  };
  follow("/v1/allocations?namespace=*", () => current && draw().catch(fail), signal, () => {});
  await follow(path("node", id), (found) => { current = found; draw().catch(fail); }, signal, fail);
}
