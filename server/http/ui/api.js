// The public API, spoken to with the token of this tab.

const KEY = "yurt-token";
export const token = () => sessionStorage.getItem(KEY) || "";
export const setToken = (value) => (value ? sessionStorage.setItem(KEY, value) : sessionStorage.removeItem(KEY));
export const namespace = () => sessionStorage.getItem("yurt-namespace") || "*";
export const setNamespace = (value) => sessionStorage.setItem("yurt-namespace", value);
export const path = (...parts) => "/v1/" + parts.map(encodeURIComponent).join("/");

export class ApiError extends Error {
  constructor(status, text) {
    super(text || `status ${status}`);
    this.status = status;
  }
}

export async function request(method, target, { body, signal, accept } = {}) {
  const headers = { Accept: accept || "application/json, application/problem+json" };
  if (token()) headers["X-Nomad-Token"] = token();
  const answer = await fetch(target, { method, headers, signal, body: body === undefined ? undefined : JSON.stringify(body) });
  const text = await answer.text();
  if (!answer.ok) {
    let said = text;
    try { said = JSON.parse(text).detail ?? text; } catch { /* plain text */ }
    throw new ApiError(answer.status, said);
  }
  return { data: text ? JSON.parse(text) : null, index: Number(answer.headers.get("X-Nomad-Index") || 0) };
}

export const get = async (target, signal) => (await request("GET", target, { signal })).data;
export const put = async (target, body) => (await request("PUT", target, { body })).data;

const joined = (target, query) => target + (target.includes("?") ? "&" : "?") + query;
const sleep = (ms, signal) => new Promise((resolve) => { const timer = setTimeout(resolve, ms); signal.addEventListener("abort", () => { clearTimeout(timer); resolve(); }); });

function live(on) {
  const shown = document.getElementById("live");
  shown.className = `live ${on ? "on" : "off"}`;
  shown.textContent = on ? "live" : "reconnecting";
}

// Call `tell` with the data of a blocking query, now and at each change, until the signal; errors go to `fail`.
export async function follow(target, tell, signal, fail) {
  let index = 0;
  while (!signal.aborted) {
    try {
      const found = await request("GET", joined(target, index ? `index=${index}&wait=60s` : "index=0"), { signal });
      live(true);
      if (found.index !== index || !index) tell(found.data);
      index = found.index < index ? 0 : found.index;
      if (!index) await sleep(3000, signal);
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof ApiError && error.status < 500) { fail?.(error); return; }
      live(false);
      fail?.(error);
      index = 0;
      await sleep(2000, signal);
    }
  }
}
