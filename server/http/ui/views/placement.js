// Why something found no place, in plain words.
import { count, h, link, short } from "../dom.js";

const each = (found) => Object.entries(found || {});

function reasons(metric) {
  const said = [];
  for (const [what, nodes] of each(metric.ConstraintFiltered)) said.push([count(nodes, "node"), " left out by the constraint ", h("code", {}, what), "."]);
  for (const [name, nodes] of each(metric.ClassFiltered)) said.push(`${count(nodes, "node")} of class "${name}" left out.`);
  for (const [name, nodes] of each(metric.DimensionExhausted)) said.push(`${count(nodes, "node")} without enough ${name}.`);
  for (const [name, nodes] of each(metric.ClassExhausted)) said.push(`${count(nodes, "node")} of class "${name}" ${nodes === 1 ? "is" : "are"} full.`);
  for (const name of metric.QuotaExhausted || []) said.push(`The quota ${name} is used up.`);
  return said;
}

function looked(metric) {
  const pool = `pool "${metric.NodePool || "default"}"`;
  if (metric.NodesEvaluated) {
    const counted = [[metric.NodesFiltered, "filtered out"], [metric.NodesExhausted, "without room"]].filter(([number]) => number);
    return `${count(metric.NodesEvaluated, "node")} of ${pool} looked at${counted.length ? `: ${counted.map(([number, what]) => `${number} ${what}`).join(", ")}` : ""}.`;
  }
  if (!metric.NodesInPool) return `There are no nodes in ${pool}.`;
  const centers = each(metric.NodesAvailable).map(([name, nodes]) => `${name}: ${nodes}`).join(", ");
  return `No node of ${pool} is ready, eligible and in a datacenter of the job${centers ? ` (ready in ${centers})` : ""}.`;
}

const HINTS = [
  [(metric) => each(metric.DimensionExhausted).length, "Ask for less, stop something, or add nodes."],
  [(metric) => each(metric.ConstraintFiltered).length, "Loosen the constraint, or add nodes that meet it."],
];

export function unplaced(failures, blocked) {
  return Object.entries(failures || {}).map(([group, metric]) => h("div", { class: "notice bad" },
    h("p", {}, h("strong", {}, `Group "${group}": ${count((metric.CoalescedFailures || 0) + 1, "allocation")} found no place.`), " ", looked(metric)),
    h("ul", {}, reasons(metric).map((one) => h("li", {}, one))),
    h("p", { class: "dim" }, HINTS.filter(([fits]) => fits(metric)).map(([, text]) => `${text} `),
      blocked && ["It is tried again when a node comes or something ends (evaluation ", link(`#/evaluations/${blocked}`, short(blocked)), ")."])));
}
