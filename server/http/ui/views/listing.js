// A live list of the API, a page at a time; what narrows it is asked of the server and kept in the address.
import { button, flush, h, header, show, table } from "../dom.js";
import { containing, follow, query, within } from "../api.js";

const PER_PAGE = 100;
const TYPING_MS = 250;

const select = (key, { title, options }, value, onchange) =>
  h("select", { "aria-label": title, "data-key": key, value, onchange }, [["", title], ...options.map((one) => [one, one])]
    .map(([option, text]) => h("option", { value: option }, text)));

// spec: title, actions, target, params, fields (searched), hint (of the search), choices {field: {title, options}}, columns, row, empty,
// also(again, signal): asks for more that rows show, and calls `again` when it came.
export async function listing(root, { signal, fail, query: given, setQuery }, spec) {
  const search = h("input", { type: "search", placeholder: spec.hint, "aria-label": spec.hint, value: given.get("q") || "", "data-key": "search", oninput: () => soon() });
  const choices = Object.entries(spec.choices || {}).map(([name, one]) => [name, select(name, one, given.get(name) || "", () => narrow())]);
  const list = h("div");
  let page = given.get("page") || "";
  let ending = new AbortController();
  let last = null;
  let timer;

  const params = () => ({ q: search.value, ...Object.fromEntries(choices.map(([name, one]) => [name, one.value])) });
  const soon = () => { clearTimeout(timer); timer = setTimeout(narrow, TYPING_MS); };
  const narrow = () => {
    if (signal.aborted) return;
    page = "";
    setQuery(params());
    begin();
  };
  const draw = (rows, { next }) => {
    last = [rows, { next }];
    const narrowed = Object.values(params()).some(Boolean);
    show(list, flush(null, table(spec.title, spec.columns, (rows || []).map(spec.row), narrowed ? "Nothing fits the filter." : spec.empty)),
      (page || next) && h("nav", { class: "pager", "aria-label": "Pages" },
        page && button("First page", () => setQuery(params(), true)),
        next && button("Next page", () => setQuery({ ...params(), page: next }, true))));
  };
  const begin = () => {
    ending.abort();
    ending = within(signal);
    const filter = [containing(search.value.trim(), spec.fields), ...choices.filter(([, one]) => one.value).map(([name, one]) => `${name} == \`${one.value}\``)]
      .filter(Boolean).join(" and ");
    return follow(query(spec.target, { ...spec.params, per_page: PER_PAGE, next_token: page, filter }), draw, ending.signal, fail);
  };
  show(root, header(null, spec.title, spec.actions), h("div", { class: "filter" }, search, choices.map(([, one]) => one)), list);
  spec.also?.(() => { if (last && !signal.aborted) draw(...last); }, signal);
  await begin();
}
