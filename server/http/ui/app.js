// The frame: which view is shown, the keyboard, light and dark, namespaces.
import { h, say, show } from "./dom.js";
import { get, namespace, setNamespace, token } from "./api.js";
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
const main = document.getElementById("main");
let ending = new AbortController();
let shown = "";

async function route() {
  const where = location.hash.slice(1) || "/";
  ending.abort();
  ending = new AbortController();
  const signal = ending.signal;
  const [, name, view] = ROUTES.find(([pattern]) => pattern.test(where)) || [];
  for (const one of document.querySelectorAll("[data-nav]")) {
    if (one.dataset.nav === name) one.setAttribute("aria-current", "page");
    else one.removeAttribute("aria-current");
  }
  document.getElementById("token-link").textContent = token() ? "Token" : "Sign in";
  if (!view) return show(main, h("p", { class: "empty" }, "There is no such page. ", h("a", { href: "#/" }, "Overview")));
  const params = where.match(ROUTES.find(([pattern]) => pattern.test(where))[0]).slice(1).map((one) => one && decodeURIComponent(one));
  document.title = `${params[1] || params[0] || name} · Yurt`;
  const isNew = shown.split("/").slice(0, 4).join("/") !== where.split("/").slice(0, 4).join("/");
  shown = where;
  const root = h("div", {}, h("p", { class: "empty" }, "Loading…"));
  main.replaceChildren(root);
  if (isNew) { main.focus({ preventScroll: true }); scrollTo(0, 0); }
  const fail = (error) => {
    if (signal.aborted) return;
    const hint = error.status === 403 ? [" ", h("a", { href: "#/token" }, "Use another token")] : [];
    show(root, h("div", { class: "notice bad" }, h("strong", {}, error.status === 404 ? "Not found" : error.status === 403 ? "Not permitted" : "That did not work"), `\n${error.message}`, ...hint));
  };
  try { await view(root, params, { signal, fail }); } catch (error) { fail(error); }
}

async function fillNamespaces() {
  const select = document.getElementById("namespace");
  let names = ["default"];
  try { names = (await get("/v1/namespaces")).map((one) => one.Name); } catch { /* without the right for it there is the default one */ }
  select.replaceChildren(h("option", { value: "*" }, "All namespaces"), ...names.map((one) => h("option", { value: one }, one)));
  select.value = namespace();
  if (!select.value) select.value = "*";
}

document.getElementById("namespace").addEventListener("change", (event) => { setNamespace(event.target.value); route(); });
document.getElementById("theme").addEventListener("click", () => {
  const dark = document.documentElement.dataset.theme ? document.documentElement.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  document.documentElement.dataset.theme = dark ? "light" : "dark";
  localStorage.setItem("yurt-theme", document.documentElement.dataset.theme);
});
if (localStorage.getItem("yurt-theme")) document.documentElement.dataset.theme = localStorage.getItem("yurt-theme");

const GO = { o: "#/", j: "#/jobs", n: "#/nodes", e: "#/evaluations", v: "#/events", t: "#/token", r: "#/run" };
const KEYS = [["/", "search"], ["j k", "next and previous row"], ["Enter", "open"], ["g o", "overview"], ["g j", "jobs"], ["g n", "nodes"], ["g e", "evaluations"], ["g v", "events"], ["g r", "run a job"], ["g t", "token"], ["?", "this help"]];

function help() {
  const dialog = document.getElementById("dialog");
  dialog.setAttribute("aria-label", "Keyboard shortcuts");
  dialog.replaceChildren(h("h2", {}, "Keyboard shortcuts"), h("dl", { class: "facts" }, KEYS.map(([keys, text]) => h("div", {}, h("dt", {}, keys.split(" ").map((key) => [h("kbd", {}, key), " "])), h("dd", {}, text)))),
    h("div", { class: "actions" }, h("button", { type: "button", class: "primary", onclick: () => dialog.close() }, "Close")));
  dialog.showModal();
}
document.getElementById("help").addEventListener("click", help);

let going = 0;
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || document.getElementById("dialog").open) return;
  if (event.target.matches("input, textarea, select")) { if (event.key === "Escape") event.target.blur(); return; }
  if (going && Date.now() - going < 1500) {
    going = 0;
    if (GO[event.key]) { event.preventDefault(); location.hash = GO[event.key]; }
    return;
  }
  if (event.key === "g") going = Date.now();
  else if (event.key === "?") help();
  else if (event.key === "/") { const input = main.querySelector("input[type=search]"); if (input) { event.preventDefault(); input.focus(); } }
  else if (event.key === "j" || event.key === "k") {
    const links = [...main.querySelectorAll("tbody tr")].map((row) => row.querySelector("a")).filter(Boolean);
    const at = links.findIndex((one) => one.closest("tr").contains(document.activeElement));
    links[Math.max(0, Math.min(links.length - 1, at + (event.key === "j" ? 1 : -1)))]?.focus();
  }
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
await fillNamespaces();
route();
