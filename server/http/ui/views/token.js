// The token that this tab uses.
import { badge, card, facts, h, header, say, show, time } from "../dom.js";
import { get, setToken, token } from "../api.js";

export default async function tokenView(root) {
  const input = h("input", { type: "password", id: "secret", autocomplete: "off", spellcheck: "false", placeholder: "Secret ID" });
  const use = async (value) => {
    setToken(value);
    try {
      if (value) await get("/v1/acl/token/self");
      say(value ? "The token is in use in this tab." : "No token is in use.");
    } catch (error) {
      if (value) setToken("");
      say(`The token was not taken: ${error.message}`, "bad");
    }
    document.getElementById("token-link").textContent = token() ? "Token" : "Sign in";
    tokenView(root);
  };
  let found = null;
  if (token()) try { found = await get("/v1/acl/token/self"); } catch { /* it is not known any more */ }
  show(root, header(null, "Token"), card(null, h("p", {}, "With access control on, what you see and may do depends on your token. It is kept for this tab only, and sent to this server only."),
    h("form", { onsubmit: (event) => { event.preventDefault(); use(input.value.trim()); } }, h("div", { class: "field" }, h("label", { for: "secret" }, "Token"), input),
      h("div", { class: "actions" }, h("button", { type: "submit", class: "primary" }, "Use it"), token() && h("button", { type: "button", onclick: () => use("") }, "Forget it")))),
  found && card("In use", facts([["Name", found.Name || "—"], ["Accessor", h("span", { class: "mono" }, found.AccessorID)], ["Type", badge(found.Type, "info")], ["Policies", (found.Policies || []).join(", ")], ["Roles", (found.Roles || []).map((one) => one.Name).join(", ")], ["Ends", found.ExpirationTime ? time(found.ExpirationTime) : "never"]])));
}
