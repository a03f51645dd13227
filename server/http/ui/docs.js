// The API's description as a page: what each endpoint takes, and a form that sends a request to this server.
import { badge, card, h, header, show } from "./dom.js";
import { token } from "./api.js";

const main = document.getElementById("main");
const KINDS = { get: "info", put: "good", post: "good", delete: "bad" };
const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;

// An example of a schema: its members with empty values, a few levels deep.
function example(schema, all, depth = 0) {
  if (!schema) return null;
  if (schema.$ref) return depth > 3 ? null : example(all[schema.$ref.split("/").pop()], all, depth);
  const options = schema.anyOf || schema.oneOf;
  if (options) return example(options.find((one) => one.type !== "null") || options[0], all, depth);
  if (schema.default !== undefined && schema.default !== null) return schema.default;
  if (schema.type === "object" || schema.properties) {
    if (depth > 3) return {};
    return Object.fromEntries(Object.entries(schema.properties || {}).map(([name, one]) => [name, example(one, all, depth + 1)]));
  }
  if (schema.type === "array") return [];
  return { string: "", integer: 0, number: 0, boolean: false }[schema.type] ?? null;
}

// What the answer of an operation is like: its type, and an example of its JSON.
function shape(operation, all) {
  const [status, response] = Object.entries(operation.responses).find(([key]) => key !== "default") || [];
  if (!response) return h("p", { class: "dim" }, "Always refused.");
  const kinds = Object.keys(response.content || {});
  const schema = response.content?.["application/json"]?.schema;
  const item = schema?.items || schema?.additionalProperties;
  const name = (schema?.$ref || schema?.anyOf?.[0]?.$ref || item?.$ref || "").split("/").pop();
  const head = [`Answer: ${status} ${kinds.join(" or ") || "without a body"}`, name && [" ", h("code", {}, schema.items ? `${name}[]` : name)]];
  if (!schema || !Object.keys(schema).length) return h("p", {}, head, schema && ", of any shape");
  const made = schema?.items ? [example(schema.items, all)] : schema?.additionalProperties ? { "…": example(schema.additionalProperties, all) } : example(schema, all);
  return h("details", {}, h("summary", {}, head), h("pre", { class: "block", tabindex: "0", "aria-label": "Example of the answer" }, JSON.stringify(made, null, 2)));
}

function form(path, method, operation, all) {
  const inputs = (operation.parameters || []).map((one) => {
    const id = `${method}${path}${one.name}`;
    return [one, h("input", { id, placeholder: one.in === "path" ? "needed" : one.schema.type, autocomplete: "off" }), id];
  });
  const schema = operation.requestBody?.content?.["application/json"]?.schema;
  const body = schema && h("textarea", { "aria-label": "Body", spellcheck: "false", value: JSON.stringify(example(schema, all), null, 2) });
  if (body) body.style.minHeight = "160px";
  const answer = h("div", { "aria-live": "polite" });
  const curl = h("code", {});
  const target = () => {
    let made = path;
    const query = new URLSearchParams();
    for (const [one, input] of inputs) {
      if (one.in === "path") made = made.replace(`{${one.name}}`, encodeURIComponent(input.value));
      else if (input.value) query.set(one.name, input.value);
    }
    return made + (query.size ? `?${query}` : "");
  };
  const send = async (event) => {
    event.preventDefault();
    const headers = token() ? { "X-Nomad-Token": token() } : {};
    curl.textContent = `curl -X ${method.toUpperCase()} ${token() ? "-H 'X-Nomad-Token: …' " : ""}${body ? `-d ${quoted(body.value.replace(/\s+/g, " "))} ` : ""}${quoted(location.origin + target())}`;
    show(answer, h("p", { class: "dim" }, "…"));
    try {
      const found = await fetch(target(), { method: method.toUpperCase(), headers, body: body?.value, signal: AbortSignal.timeout(15000) });
      const text = await found.text();
      let shown = text;
      try { shown = JSON.stringify(JSON.parse(text), null, 2); } catch { /* no JSON */ }
      show(answer, h("p", {}, badge(String(found.status), found.ok ? "good" : "bad"), " ", found.headers.get("X-Nomad-Index") ? `index ${found.headers.get("X-Nomad-Index")}` : ""), h("pre", { class: "block", tabindex: "0", "aria-label": "Answer" }, shown.slice(0, 100000) || "(nothing)"));
    } catch (error) { show(answer, h("div", { class: "notice bad" }, error.message)); }
  };
  return h("form", { onsubmit: send }, shape(operation, all), h("div", { class: "grid" }, inputs.map(([one, input, id]) => h("div", { class: "field" }, h("label", { for: id }, one.name), input, one.description && h("span", { class: "dim" }, one.description)))),
    body, h("div", { class: "actions" }, h("button", { type: "submit", class: "primary" }, "Send")), h("p", {}, curl), answer);
}

const description = await (await fetch("/openapi.json")).json();
const list = h("div");
const search = h("input", { type: "search", placeholder: "Filter by path or text", "aria-label": "Filter endpoints", oninput: () => draw() });
const operations = Object.entries(description.paths).flatMap(([path, methods]) => Object.entries(methods).map(([method, operation]) => ({ path, method, operation })));

function draw() {
  const text = search.value.toLowerCase();
  show(list, operations.filter((one) => `${one.method} ${one.path} ${one.operation.summary || ""}`.toLowerCase().includes(text)).map(({ path, method, operation }) => {
    const body = h("div");
    const details = h("details", { "data-key": `${method} ${path}` }, h("summary", {}, badge(method.toUpperCase(), KINDS[method]), " ", h("code", {}, path), " ", h("span", { class: "dim" }, operation.summary || "")), body);
    details.addEventListener("toggle", () => { if (details.open && !body.firstChild) body.append(form(path, method, operation, description.components.schemas)); });
    return card(null, details);
  }));
}
show(main, header(null, `The API of ${description.info.title} ${description.info.version}`), h("p", { class: "dim" }, "Requests go to this server, with the token of this tab."), h("div", { class: "filter" }, search), list);
draw();
