// A structured diff as lines: what was added, removed and edited, indented as it nests.
import { h } from "../dom.js";

const SIGNS = { Added: ["+", "add"], Deleted: ["-", "del"], Edited: ["±", "edit"] };

function lines(node, title, depth, found) {
  const fields = (node.Fields || []).filter((one) => one.Type !== "None");
  const below = [...(node.Objects || []).map((one) => [one, one.Name]), ...(node.TaskGroups || []).map((one) => [one, `group "${one.Name}"`]), ...(node.Tasks || []).map((one) => [one, `task "${one.Name}"`])].filter(([one]) => one.Type !== "None");
  if (title && SIGNS[node.Type]) found.push([depth, ...SIGNS[node.Type], title + (node.Updates ? ` (${Object.entries(node.Updates).map(([name, count]) => `${count} ${name}`).join(", ")})` : "")]);
  for (const one of fields) {
    const [sign, kind] = SIGNS[one.Type] || ["", ""];
    const value = one.Type === "Edited" ? `"${one.Old}" → "${one.New}"` : `"${one.Type === "Added" ? one.New : one.Old}"`;
    found.push([depth + (title ? 1 : 0), sign, kind, `${one.Name}: ${value}${one.Annotations ? ` (${one.Annotations.join(", ")})` : ""}`]);
  }
  for (const [one, name] of below) lines(one, name, depth + (title ? 1 : 0), found);
}

export function diffLines(diff) {
  if (!diff || diff.Type === "None") return null;
  const found = [];
  lines(diff, "", 0, found);
  if (!found.length) return null;
  return h("div", { class: "diff", role: "group", "aria-label": "Differences" }, found.map(([depth, sign, kind, text]) => {
    const line = h("div", { class: kind }, `${sign} ${text}`);
    line.style.marginLeft = `${depth * 1.2}em`;
    return line;
  }));
}
