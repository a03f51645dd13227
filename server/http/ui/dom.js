// Elements from data. Text is always text: nothing from a server is ever parsed as HTML.

export function h(tag, props, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(props || {})) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (name === "width") made.style.width = value;
    else if (name === "value") made.value = value;
    else made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.flat(Infinity).filter((one) => one !== null && one !== undefined && one !== false));
  return made;
}

const KINDS = {
  running: "good", complete: "good", successful: "good", ready: "good", alive: "good", eligible: "good", healthy: "good",
  pending: "wait", blocked: "wait", paused: "wait", initializing: "wait", ineligible: "wait", unknown: "wait", draining: "wait",
  failed: "bad", lost: "bad", down: "bad", disconnected: "bad", unhealthy: "bad", cancelled: "off", dead: "off", canceled: "off", stop: "off",
};

export const kindOf = (status) => KINDS[status] || "info";
export const badge = (status, kind) => h("span", { class: `badge ${kind || kindOf(status)}` }, status || "—");
export const short = (id) => (id || "").slice(0, 8);
export const link = (href, ...children) => h("a", { href, "data-key": href }, ...children);

export function time(value) {
  const date = typeof value === "number" ? new Date(value / 1e6) : new Date(value);
  if (!value || Number.isNaN(date.getTime()) || date.getTime() <= 0) return "—";
  return h("time", { datetime: date.toISOString(), title: date.toLocaleString() }, ago(date));
}

function ago(date) {
  const seconds = Math.max(0, (Date.now() - date.getTime()) / 1000);
  if (seconds < 5) return "just now";
  for (const [unit, size] of [["d", 86400], ["h", 3600], ["min", 60]]) {
    if (seconds >= size) return `${Math.floor(seconds / size)} ${unit} ago`;
  }
  return `${Math.floor(seconds)} s ago`;
}

export function table(caption, columns, rows, empty) {
  if (!rows.length) return h("p", { class: "empty" }, empty || "Nothing here.");
  const head = columns.map((one) => h("th", { scope: "col", class: one.class }, one.title ?? one));
  const body = rows.map((cells) => h("tr", {}, cells.map((cell, at) => h("td", { class: columns[at].class }, cell))));
  return h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": caption },
    h("table", {}, h("caption", { class: "visually-hidden" }, caption), h("thead", {}, h("tr", {}, head)), h("tbody", {}, body)));
}

export const card = (title, ...children) => h("section", { class: "card" }, title && h("h2", {}, title), ...children);
export const flush = (title, ...children) => h("section", { class: "card flush" }, title && h("h2", {}, title), ...children);
export const facts = (pairs) => h("dl", { class: "facts" }, pairs.filter((one) => one[1] !== "" && one[1] !== null && one[1] !== undefined)
  .map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))));
export const figure = (title, value, note) => h("section", { class: "card" }, h("div", { class: "dim" }, title),
  h("div", { class: `figure${String(value.textContent ?? value).length > 12 ? " small" : ""}` }, value), note && h("div", { class: "dim" }, note));

export function bar(parts, label) {
  const total = parts.reduce((sum, [, count]) => sum + count, 0);
  const text = parts.filter(([, count]) => count).map(([name, count]) => `${count} ${name}`).join(", ") || "none";
  return h("div", { class: "bar", role: "img", "aria-label": `${label}: ${text}`, title: text },
    parts.filter(([, count]) => count).map(([, count, kind]) => h("i", { class: kind, width: `${(100 * count) / total}%` })));
}

export function header(crumbs, title, ...actions) {
  return h("div", { class: "head" }, h("div", {}, crumbs && h("div", { class: "crumbs" }, crumbs), h("h1", {}, title)),
    actions.flat().filter(Boolean).length ? h("div", { class: "actions" }, actions) : null);
}

// Replace what an element holds; who had the focus, by its data-key, has it still.
export function show(root, ...children) {
  const key = document.activeElement?.dataset?.key;
  const open = new Set([...root.querySelectorAll("details[open][data-key]")].map((one) => one.dataset.key));
  root.replaceChildren(...children.flat(Infinity).filter(Boolean));
  for (const one of root.querySelectorAll("details[data-key]")) if (open.has(one.dataset.key)) one.open = true;
  if (key) root.querySelector(`[data-key="${CSS.escape(key)}"]`)?.focus({ preventScroll: true });
}

export function say(text, kind = "") {
  const notice = h("div", { class: `notice ${kind}` }, text);
  document.getElementById("messages").append(notice);
  setTimeout(() => notice.remove(), kind === "bad" ? 12000 : 5000);
}

export function ask(title, text, action, danger) {
  const dialog = document.getElementById("dialog");
  return new Promise((resolve) => {
    const end = (answer) => { dialog.close(); resolve(answer); };
    dialog.replaceChildren(h("h2", {}, title), h("p", {}, text), h("div", { class: "actions" },
      h("button", { type: "button", onclick: () => end(false) }, "Cancel"),
      h("button", { type: "button", class: danger ? "danger" : "primary", onclick: () => end(true) }, action)));
    dialog.oncancel = () => resolve(false);
    dialog.setAttribute("aria-label", title);
    dialog.showModal();
  });
}
