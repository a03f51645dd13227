// The token that this tab uses.
import { badge, card, facts, h, header, mono, say, show, time } from "../dom.js";
import { get, setToken, token } from "../api.js";

async function use(value, signal) {
  setToken(value);
  try {
    if (value) await get("/v1/acl/token/self", signal);
    say(value ? "The token is in use in this tab." : "No token is in use.");
  } catch (error) {
    if (value) setToken("");
    say(`The token was not taken: ${error.message}`, "bad");
  }
}

export default async function tokenView(root, _params, { signal }) {
  const draw = async () => {
    const input = h("input", { type: "password", id: "secret", autocomplete: "off", spellcheck: "false", placeholder: "Secret ID" });
    const change = async (value) => { await use(value, signal); await draw(); };
    const found = token() ? await get("/v1/acl/token/self", signal).catch(() => null) : null;
    show(root, header(null, "Token"), card(null, h("p", {}, "With access control on, what you see and may do depends on your token. It is kept for this tab only, and sent to this server only."),
      h("form", { onsubmit: (event) => { event.preventDefault(); change(input.value.trim()); } }, h("div", { class: "field" }, h("label", { for: "secret" }, "Token"), input),
        h("div", { class: "actions" }, h("button", { type: "submit", class: "primary" }, "Use it"), token() && h("button", { type: "button", onclick: () => change("") }, "Forget it")))),
    found && card("In use", facts([["Name", found.Name || "—"], ["Accessor", mono(found.AccessorID)], ["Type", badge(found.Type, "info")], ["Policies", (found.Policies || []).join(", ")],
      ["Roles", (found.Roles || []).map((one) => one.Name).join(", ")], ["Expires", found.ExpirationTime ? time(found.ExpirationTime) : "never"]])));
  };
  await draw();
}
