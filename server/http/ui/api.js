// The public API, spoken to with the token of this tab.

const KEY = "yurt-token";
const WAIT = "30s";
const ANSWER_MS_MAX = 60000;
const TURN_MS = 3000;
const AGAIN_MS = 2000;
const ASKED_MAX = 12;

export const token = () => sessionStorage.getItem(KEY) || "";
export function setToken(value) {
  if (value) sessionStorage.setItem(KEY, value);
  else sessionStorage.removeItem(KEY);
  dispatchEvent(new Event("yurt-token"));
}
export const namespace = () => sessionStorage.getItem("yurt-namespace") || "*";
export const setNamespace = (value) => sessionStorage.setItem("yurt-namespace", value);
export const path = (...parts) => "/v1/" + parts.map(encodeURIComponent).join("/");
export const headers = () => (token() ? { "X-Nomad-Token": token() } : {});

// A target with parameters; those without a value are left out.
export function query(target, params) {
  const made = new URLSearchParams(Object.entries(params).filter(([, value]) => value !== "" && value !== undefined && value !== null));
  return made.size ? `${target}${target.includes("?") ? "&" : "?"}${made}` : target;
}

// A filter that finds a text in any of some fields, whatever its case.
export function containing(text, fields) {
  if (!text) return "";
  const pattern = text.replaceAll("`", ".").replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
  return `(${fields.map((one) => `${one} matches \`(?i)${pattern}\``).join(" or ")})`;
}

export class ApiError extends Error {
  constructor(status, text) {
    super(text || `status ${status}`);
    this.status = status;
  }

  // What may be otherwise in a moment: no leader, overload, a server that stops.
  get passes() { return this.status >= 500 || this.status === 429; }
}

// What the shown page has asked, for those who would rather use a shell.
export const asked = new Set();
function remember(method, target) {
  if (method !== "GET") return;
  const [where, rest] = target.split("?");
  const params = new URLSearchParams(rest);
  params.delete("index");
  params.delete("wait");
  asked.add(query(where, Object.fromEntries(params)));
  if (asked.size > ASKED_MAX) asked.delete(asked.values().next().value);
}

// One request: its data, its index, the token of the next page, and the text as it came. Throws ApiError with the server's words.
export async function request(method, target, { body, signal, accept } = {}) {
  remember(method, target);
  const answer = await fetch(target, {
    method, signal, cache: "no-store",
    headers: { Accept: accept || "application/json, application/problem+json", ...headers() },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  const text = await answer.text();
  if (!answer.ok) {
    let said = text;
    try { said = JSON.parse(text).detail ?? text; } catch { /* plain text */ }
    throw new ApiError(answer.status, said);
  }
  return {
    data: text ? JSON.parse(text) : null, text,
    index: Number(answer.headers.get("X-Nomad-Index") || 0), next: answer.headers.get("X-Nomad-NextToken") || "",
  };
}

export const get = async (target, signal) => (await request("GET", target, { signal })).data;
export const put = async (target, body) => (await request("PUT", target, { body })).data;

export const sleep = (ms, signal) => new Promise((resolve) => {
  const end = () => { clearTimeout(timer); signal.removeEventListener("abort", end); resolve(); };
  const timer = setTimeout(end, ms);
  signal.addEventListener("abort", end);
});

// A controller that ends with the signal of the page, or before.
export function within(signal) {
  const made = new AbortController();
  signal.addEventListener("abort", () => made.abort(), { signal: made.signal });
  return made;
}

// ---- Whether what is shown is what is so

const troubles = new Map();

function tellState() {
  const live = document.getElementById("live");
  const trouble = document.getElementById("trouble");
  if (!live || !trouble) return;
  const state = document.hidden ? "paused" : troubles.size ? "reconnecting" : "live";
  live.className = `live ${{ live: "on", reconnecting: "off" }[state] || ""}`;
  if (live.textContent !== state) live.textContent = state;
  const said = troubles.size ? `${[...troubles.values()][0]} What is shown may be old; trying again.` : "";
  if (trouble.textContent !== said) trouble.textContent = said;
  trouble.hidden = !said;
}

function trouble(target, error) {
  troubles.set(target, error instanceof ApiError ? `The server says: ${error.message}.` : "The server cannot be reached.");
  tellState();
}

export function clearTroubles() {
  troubles.clear();
  asked.clear();
  tellState();
}

// ---- Browsers open six connections to a server, for all windows: those that nobody sees hold none,
// and of many in sight none holds one for long.

const WINDOWS_MAX = 2;
const HERE_MS = 4000;
const me = Math.random();
const others = new Map();
const windows = new BroadcastChannel("yurt-windows");
const here = (leaving) => windows.postMessage({ from: me, seen: !leaving && !document.hidden });
windows.onmessage = ({ data }) => {
  if (!data.seen) others.delete(data.from);
  else {
    if (!others.has(data.from)) here();
    others.set(data.from, Date.now());
  }
};
const crowded = () => [...others.values()].filter((at) => Date.now() - at < 3 * HERE_MS).length >= WINDOWS_MAX;
here();
setInterval(here, HERE_MS, false);
addEventListener("pagehide", () => here(true));

let hiding = new AbortController();
document.addEventListener("visibilitychange", () => {
  if (document.hidden) hiding.abort();
  else hiding = new AbortController();
  here();
  tellState();
});

const seen = (signal) => new Promise((resolve) => {
  if (!document.hidden || signal.aborted) { resolve(); return; }
  const end = () => {
    if (document.hidden && !signal.aborted) return;
    document.removeEventListener("visibilitychange", end);
    signal.removeEventListener("abort", end);
    resolve();
  };
  document.addEventListener("visibilitychange", end);
  signal.addEventListener("abort", end);
});

// Call `tell` with the data of a blocking query, now and at each change, until the signal. What passes is tried again,
// with a note above the page; what does not goes to `fail`, and ends it. With a body it is sent by POST.
export async function follow(target, tell, signal, fail, body) {
  let index = 0;
  let shown = null;
  while (!signal.aborted) {
    await seen(signal);
    if (signal.aborted) return;
    const began = Date.now();
    try {
      const asking = index && !crowded() ? query(target, { index, wait: WAIT }) : target;
      const limits = AbortSignal.any([signal, hiding.signal, AbortSignal.timeout(ANSWER_MS_MAX)]);
      const found = await request(body ? "POST" : "GET", asking, { signal: limits, body });
      if (found.text !== shown || found.index !== index) await tell(found.data, found);
      if (signal.aborted) return;
      shown = found.text;
      troubles.delete(target);
      tellState();
      const same = found.index === index;
      index = found.index < index ? 0 : found.index;
      if (!index || crowded() || (same && Date.now() - began < 500)) await sleep(TURN_MS, signal);
    } catch (error) {
      if (signal.aborted) return;
      index = 0;
      shown = null;
      if (document.hidden) continue;
      if (error instanceof ApiError && !error.passes) { fail?.(error); return; }
      trouble(target, error);
      await sleep(AGAIN_MS, signal);
    }
  }
}

// Work that holds a connection for long: ended while nobody sees the window, begun again when it ends or breaks, until it returns false
// or is refused. What breaks is told.
export async function hold(work, signal, tell) {
  while (!signal.aborted) {
    await seen(signal);
    if (signal.aborted) return;
    try {
      if ((await work(AbortSignal.any([signal, hiding.signal]))) === false) return;
    } catch (error) {
      if (signal.aborted) return;
      if (!document.hidden) tell(error);
      if (error instanceof ApiError && !error.passes) return;
    }
    await sleep(AGAIN_MS, signal);
  }
}

// The same for what does not block: asked again every few seconds.
export async function poll(every, work, signal) {
  while (!signal.aborted) {
    await seen(signal);
    try {
      await work();
      troubles.delete(work);
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof ApiError && !error.passes) return;
      if (!document.hidden) trouble(work, error);
    }
    tellState();
    await sleep(every, signal);
  }
}
