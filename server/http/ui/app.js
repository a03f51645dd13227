// The frame: which view is shown, the keyboard, light and dark, namespaces.
import { ask, button, h, say, show } from "./dom.js";
import { asked, clearTroubles, get, namespace, setNamespace, token } from "./api.js";
import overview from "./views/overview.js";
import jobs from "./views/jobs.js";
import job from "./views/job.js";
import run from "./views/run.js";
import allocation from "./views/allocation.js";
import { nodes, node } from "./views/nodes.js";
import { evaluations, evaluation } from "./views/evaluations.js";
import events from "./views/events.js";
import tokenView from "./views/token.js";

const ROUTES = [
  [/^\/$/, "overview", overview], [/^\/jobs$/, "jobs", jobs], [/^\/run$/, "jobs", run],
  [/^\/jobs\/([^/]+)\/([^/]+)(?:\/([a-z]+))?$/, "jobs", job], [/^\/allocations\/([^/]+)$/, "jobs", allocation],
  [/^\/nodes$/, "nodes", nodes], [/^\/nodes\/([^/]+)$/, "nodes", node],
  [/^\/evaluations$/, "evaluations", evaluations], [/^\/evaluations\/([^/]+)$/, "evaluations", evaluation],
  [/^\/events$/, "events", events], [/^\/token$/, "token", tokenView],
];
const WORDS = { 403: "Not permitted", 404: "Not found" };
const main = document.getElementById("main");
let ending = new AbortController();
let shown = "";

// Parameters of the page in its address: what narrows a list outlives a reload, and can be passed on.
function setQuery(where, params, keep) {
  const made = new URLSearchParams(Object.entries(params).filter(([, value]) => value));
  const to = `#${where}${made.size ? `?${made}` : ""}`;
  if (keep) location.hash = to;
  else history.replaceState(null, "", to);
}

function mark(name) {
  for (const one of document.querySelectorAll("[data-nav]")) {
    if (one.dataset.nav === name) one.setAttribute("aria-current", "page");
    else one.removeAttribute("aria-current");
  }
  document.getElementById("token-link").textContent = token() ? "Token" : "Sign in";
}

function failure(root, error) {
  show(root, h("h1", {}, WORDS[error.status] || "That did not work"), h("div", { class: "notice bad" }, error.message),
    error.status === 403 && h("p", {}, h("a", { class: "button", href: "#/token" }, "Use another token")),
    error.status === 404 && h("p", {}, h("a", { class: "button", href: "#/jobs" }, "All jobs")));
}

async function route() {
  const [where, params] = (location.hash.slice(1) || "/").split("?");
  ending.abort();
  ending = new AbortController();
  clearTroubles();
  const signal = ending.signal;
  const found = ROUTES.find(([pattern]) => pattern.test(where));
  mark(found?.[1]);
  const root = h("div", { "data-view": where });
  signal.addEventListener("abort", () => { root.dataset.ended = "true"; });
  if (!found) { main.replaceChildren(root); failure(root, { status: 404, message: "There is no such page." }); return; }
  const parts = where.match(found[0]).slice(1).map((one) => one && decodeURIComponent(one));
  document.title = `${parts[1] || parts[0] || found[1]} · Yurt`;
  const page = where.split("/").slice(0, 4).join("/");
  if (page !== shown) {
    root.append(h("p", { class: "empty" }, "Loading…"));
    main.replaceChildren(root);
    main.focus({ preventScroll: true });
    scrollTo(0, 0);
  }
  shown = page;
  const fail = (error) => { if (!signal.aborted) failure(root, error); };
  const context = { signal, fail, query: new URLSearchParams(params), setQuery: (given, keep) => setQuery(where, given, keep) };
  try { await found[2](root, parts, context); } catch (error) { fail(error); }
}

async function fillNamespaces() {
  const select = document.getElementById("namespace");
  let names = ["default"];
  try { names = (await get("/v1/namespaces")).map((one) => one.Name); } catch { /* without the right for it there is the default one */ }
  select.replaceChildren(h("option", { value: "*" }, "All namespaces"), ...names.map((one) => h("option", { value: one }, one)));
  select.value = namespace();
  if (!select.value) select.value = "*";
}

document.getElementById("namespace").addEventListener("change", (event) => {
  setNamespace(event.target.value);
  const where = location.hash.split("?")[0];
  if (where !== location.hash) location.hash = where;
  else route();
});
addEventListener("yurt-token", () => { fillNamespaces(); document.getElementById("token-link").textContent = token() ? "Token" : "Sign in"; });

const isDark = () => (document.documentElement.dataset.theme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
const theme = document.getElementById("theme");
const tellTheme = () => theme.setAttribute("aria-pressed", String(isDark()));
theme.addEventListener("click", () => {
  const chosen = isDark() ? "light" : "dark";
  document.documentElement.dataset.theme = chosen;
  localStorage.setItem("yurt-theme", chosen);
  tellTheme();
});
tellTheme();

const GO = { o: "#/", j: "#/jobs", n: "#/nodes", e: "#/evaluations", v: "#/events", t: "#/token", r: "#/run" };
const KEYS = [["/", "search"], ["j k", "next and previous row"], ["↓ ↑", "the same, within a list"], ["Enter", "open"], ["g o", "overview"], ["g j", "jobs"],
  ["g n", "nodes"], ["g e", "evaluations"], ["g v", "events"], ["g r", "run a job"], ["g t", "token"], ["?", "this help"]];

const help = () => ask("Keyboard shortcuts", "", "", { fields: h("dl", { class: "keys" },
  KEYS.map(([keys, text]) => h("div", {}, h("dt", {}, keys.split(" ").map((key) => [h("kbd", {}, key), " "])), h("dd", {}, text)))) });
document.getElementById("help").addEventListener("click", help);

const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;
const curl = (target) => `curl ${token() ? '-H "X-Nomad-Token: $NOMAD_TOKEN" ' : ""}${quoted(location.origin + target)}`;
async function copy(text) {
  try { await navigator.clipboard.writeText(text); say("Copied"); } catch { say("This browser lets pages copy only over HTTPS: select the text instead.", "wait"); }
}
document.getElementById("requests").addEventListener("click", () => ask("Requests of this page", "The same from a shell:", "", {
  fields: h("div", { class: "requests" }, [...asked].map((one) => h("div", {}, h("code", {}, curl(one)), button("Copy", () => copy(curl(one)), { key: `copy-${one}`, "aria-label": `Copy the request of ${one}` })))) }));

function step(by) {
  const links = [...main.querySelectorAll("tbody tr, .timeline li")].map((row) => row.querySelector("a")).filter(Boolean);
  const at = links.findIndex((one) => one.closest("tr, li").contains(document.activeElement));
  const next = links[Math.max(0, Math.min(links.length - 1, at + by))];
  next?.focus();
  next?.scrollIntoView({ block: "nearest" });
}

let going = 0;
function pressed(event) {
  const { key } = event;
  const isGoing = Date.now() - going < 1500;
  going = 0;
  if (isGoing) { if (GO[key]) location.hash = GO[key]; return Boolean(GO[key]); }
  if (key === "g") going = Date.now();
  else if (key === "?") help();
  else if (key === "j" || key === "k") step(key === "j" ? 1 : -1);
  else if ((key === "ArrowDown" || key === "ArrowUp") && event.target.closest("tbody tr, .timeline li")) step(key === "ArrowDown" ? 1 : -1);
  else if (key === "/") main.querySelector("input[type=search]")?.focus();
  else return false;
  return true;
}
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || document.getElementById("dialog").open) return;
  if (event.target.matches("input, textarea, select")) { if (event.key === "Escape") event.target.blur(); return; }
  if (pressed(event)) event.preventDefault();
});
addEventListener("hashchange", route);
addEventListener("unhandledrejection", (event) => { if (event.reason?.name !== "AbortError") say(event.reason?.message || String(event.reason), "bad"); });

// Links of other tools name pages by path: /ui/jobs/web@default.
const given = location.pathname.replace(/^\/ui\/?/, "");
if (given && !location.hash) {
  const [kind, rest] = [given.split("/")[0], decodeURIComponent(given.split("/").slice(1).join("/"))];
  const [id, space] = rest.split("@");
  const to = kind === "jobs" && id ? `#/jobs/${encodeURIComponent(space || "default")}/${encodeURIComponent(id)}` : kind === "clients" ? `#/nodes${id ? `/${id}` : ""}` : `#/${kind}${id ? `/${id}` : ""}`;
  history.replaceState(null, "", `/ui/${to}`);
}
fillNamespaces();
route();
