// Elements from data. Text is always text: nothing from a server is ever parsed as HTML.

export function h(tag, props, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(props || {})) {
    if (value === undefined || value === null || value === false || name === "value") continue;
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (name === "width") made.style.width = value;
    else made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.flat(Infinity).filter((one) => one !== null && one !== undefined && one !== false));
  if (props?.value !== undefined) give(made, props.value);
  return made;
}

// A field's own value, so that one can see later whether somebody changed it.
function give(field, value) {
  if (field.tagName === "INPUT") field.setAttribute("value", value);
  else if (field.tagName === "TEXTAREA") field.defaultValue = value;
  else field.value = value;
}

const KINDS = {
  running: "good", complete: "good", successful: "good", ready: "good", alive: "good", eligible: "good", healthy: "good",
  pending: "wait", blocked: "wait", paused: "wait", initializing: "wait", ineligible: "wait", unknown: "wait", draining: "wait",
  failed: "bad", lost: "bad", down: "bad", disconnected: "bad", unhealthy: "bad", left: "off",
  cancelled: "off", dead: "off", canceled: "off", stop: "off", stopped: "off", evict: "off",
};

export const kindOf = (status) => KINDS[status] || "info";
export const badge = (status, kind) => h("span", { class: `badge ${kind || kindOf(status)}` }, status || "—");
export const short = (id) => (id || "").slice(0, 8);
export const link = (href, ...children) => h("a", { href, "data-key": href }, ...children);
export const mono = (text) => h("span", { class: "mono" }, text);
export const count = (number, what) => `${number} ${what}${number === 1 ? "" : "s"}`;

export function button(label, onclick, { kind = "", key = label, ...rest } = {}) {
  return h("button", { type: "button", class: kind || null, "data-key": `button-${key}`, onclick, ...rest }, label);
}

export function time(value) {
  const date = typeof value === "number" ? new Date(value / 1e6) : new Date(value);
  if (!value || Number.isNaN(date.getTime()) || date.getTime() <= 0) return "—";
  return h("time", { datetime: date.toISOString(), title: date.toLocaleString(), "data-ago": true }, ago(date));
}

function ago(date) {
  const seconds = (Date.now() - date.getTime()) / 1000;
  const size = Math.abs(seconds);
  if (size < 5) return "just now";
  const [unit, length] = [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]].find((one) => size >= one[1]);
  return seconds > 0 ? `${Math.floor(size / length)} ${unit} ago` : `in ${Math.floor(size / length)} ${unit}`;
}

setInterval(() => {
  for (const one of document.querySelectorAll("time[data-ago]")) {
    const text = ago(new Date(one.dateTime));
    if (one.textContent !== text) one.textContent = text;
  }
}, 5000);

export function table(caption, columns, rows, empty) {
  if (!rows.length) return h("p", { class: "empty" }, empty || "Nothing here.");
  const head = columns.map((one) => h("th", { scope: "col", class: one.class }, one.title ?? one));
  const body = rows.map((cells) => h("tr", {}, cells.map((cell, at) => h("td", { class: columns[at].class }, cell))));
  return h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": caption, "data-key": `table-${caption}` },
    h("table", {}, h("caption", { class: "visually-hidden" }, caption), h("thead", {}, h("tr", {}, head)), h("tbody", {}, body)));
}

export const card = (title, ...children) => h("section", { class: "card" }, title && h("h2", {}, title), ...children);
export const flush = (title, ...children) => h("section", { class: "card flush" }, title && h("h2", {}, title), ...children);
export const facts = (pairs) => h("dl", { class: "facts" }, pairs.filter((one) => one[1] !== "" && one[1] !== null && one[1] !== undefined)
  .map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))));
export const figure = (title, value, note) => h("section", { class: "card" }, h("h2", { class: "label" }, title),
  h("div", { class: "figure" }, value), note && h("div", { class: "dim" }, note));
export const timeline = (label, items) => h("ol", { class: "timeline", "aria-label": label },
  items.map(([when, ...what]) => h("li", {}, when, h("div", {}, what))));

// Parts as [name, count, kind], with the figures beside it: nobody has to tell colours apart.
export function bar(parts, label, figures) {
  const some = parts.filter(([, number]) => number);
  const total = parts.reduce((sum, [, number]) => sum + number, 0);
  const text = some.map(([name, number]) => `${number} ${name}`).join(", ") || "none";
  return h("div", { class: "measure" },
    h("div", { class: "bar", role: "img", "aria-label": `${label}: ${text}`, title: text },
      some.map(([, number, kind]) => h("i", { class: kind, width: `${(100 * number) / total}%` }))),
    figures && h("span", { class: "figures" }, figures));
}

export function header(crumbs, title, ...actions) {
  const some = actions.flat().filter(Boolean);
  return h("div", { class: "head" }, h("div", {}, crumbs && h("div", { class: "crumbs" }, crumbs), h("h1", {}, title)),
    some.length ? h("div", { class: "actions" }, some) : null);
}

const keyed = (root, key) => root.querySelector(`[data-key="${CSS.escape(key)}"]`);

// Replace what an element holds. What has a data-key keeps its focus, what was typed, whether it is open and how far it is scrolled.
// A view that is not on the page yet takes the place of the one that is.
export function show(root, ...children) {
  if ("ended" in root.dataset) return;
  const from = root.isConnected || !("view" in root.dataset) ? root : document.getElementById("main");
  const active = document.activeElement;
  const key = from.contains(active) ? active.dataset.key : undefined;
  const caret = key && active.selectionStart !== undefined ? [active.selectionStart, active.selectionEnd] : null;
  const kept = [...from.querySelectorAll("[data-key]")].map((one) => ({
    key: one.dataset.key, open: one.open, left: one.scrollLeft, top: one.scrollTop,
    typed: "defaultValue" in one && one.value !== one.defaultValue ? one.value : null,
  })).filter((one) => one.open || one.left || one.top || one.typed !== null);
  root.replaceChildren(...children.flat(Infinity).filter(Boolean));
  if (from !== root) from.replaceChildren(root);
  for (const one of kept) {
    const now = keyed(root, one.key);
    if (!now) continue;
    if (one.open) now.open = true;
    if (one.typed !== null && "defaultValue" in now) now.value = one.typed;
    if (one.left || one.top) now.scrollTo(one.left, one.top);
  }
  const now = key && keyed(root, key);
  if (now && now !== document.activeElement) {
    now.focus({ preventScroll: true });
    if (caret && caret[0] !== null) now.setSelectionRange(...caret);
  }
}

export function say(text, kind = "") {
  const notice = h("div", { class: `notice ${kind}` }, h("span", {}, text), h("button", { type: "button", class: "quiet", "aria-label": "Dismiss", onclick: () => notice.remove() }, "×"));
  document.getElementById("messages").append(notice);
  if (kind !== "bad") setTimeout(() => notice.remove(), 6000);
}

// A dialog, until one of its buttons is pressed: whether it was the action's.
export function ask(title, text, action, { danger, fields } = {}) {
  const dialog = document.getElementById("dialog");
  const key = document.activeElement?.dataset?.key;
  return new Promise((resolve) => {
    let answer = false;
    const body = h("form", { onsubmit: (event) => { event.preventDefault(); answer = true; dialog.close(); } },
      h("h2", { id: "dialog-title" }, title), text && h("p", {}, text), fields, h("div", { class: "actions" },
        action && h("button", { type: "button", onclick: () => dialog.close() }, "Cancel"),
        h("button", { type: "submit", class: danger ? "danger" : "primary", autofocus: !action }, action || "Close")));
    dialog.replaceChildren(body);
    dialog.setAttribute("aria-labelledby", "dialog-title");
    dialog.onclose = () => {
      dialog.replaceChildren();
      if (key && document.activeElement === document.body) keyed(document, key)?.focus({ preventScroll: true });
      resolve(answer);
    };
    dialog.showModal();
  });
}

// Ask first, then do it, then say what came of it. Returns whether it was done.
export async function act(title, text, action, work, options) {
  if (!(await ask(title, text, action, options))) return false;
  try {
    await work();
    say(`${action}: done`);
    return true;
  } catch (error) {
    say(`${action} failed: ${error.message}`, "bad");
    return false;
  }
}

export const field = (label, input, note) => h("div", { class: "field" }, h("label", { for: input.id }, label), input, note && h("p", { class: "dim" }, note));
