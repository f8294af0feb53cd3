// The own account: password, API tokens, signing out everywhere.

import { all, del, post } from "./api.js";
import { badge, button, confirm, field, h, showError, table, toast, toastError } from "./dom.js";
import { ago } from "./format.js";
import { me } from "./frame.js";
import { load } from "./live.js";
import { identities, ownData } from "./own-data.js";
import { showOnce } from "./secret.js";

export async function mount(element) {
  const tokens = h("div.pl-stack.tight");
  element.append(h("div.pl-page.narrow.pl-stack", who(), password(), section(tokens), identities(), ownData(), leaving()));
  await listTokens(tokens);
}

const who = () => h("section.pl-card", h("h2", "You"), h("dl.pl-facts", h("dt", "Name"), h("dd", me.name),
  me.admin ? [h("dt", "Instance"), h("dd", badge("admin"))] : null,
  h("dt", "Projects"), h("dd", me.projects.length ? me.projects.map((one) => h("div", one.name, " ", badge(one.role), one.archived ? [" ", badge("archived", "warn")] : null)) : "none; ask for an invitation")));

function password() {
  const input = (kind) => h("input", { type: "password", autocomplete: kind, required: true });
  const [old, fresh, again] = [
    field("Present password", input("current-password")),
    field("New password", input("new-password"), { help: "Ten characters or more. You sign in again with it, everywhere. API tokens go on working; revoke below those that should not." }),
    field("New password again", input("new-password")),
  ];
  const value = (one) => one.querySelector("input").value;
  const send = async (event) => {
    event.preventDefault();
    [old, fresh, again].forEach((one) => showError(one, ""));
    if (value(fresh).length < 10) return showError(fresh, "It needs ten characters or more.");
    if (value(fresh) !== value(again)) return showError(again, "The two are not the same.");
    try {
      await post("/me/password", { old: value(old), new: value(fresh) });
      return location.assign("/sign-in?next=%2Faccount");
    } catch (error) {
      return showError(error.field === "new" ? fresh : old, [error.detail, error.remedy].filter(Boolean).join(" "));
    }
  };
  return h("section.pl-card", h("h2", "Change password"),
    h("form.pl-stack", { onsubmit: send, novalidate: true }, h("input", { type: "text", autocomplete: "username", value: me.name, hidden: true }), old, fresh, again,
      h("div.pl-row", button("Change password", null, { kind: "primary", type: "submit" }))));
}

function section(list) {
  const name = field("Name of a new token", h("input", { maxlength: 64, autocomplete: "off", placeholder: "Where it will be used" }));
  const project = field("Opens", h("select", h("option", { value: "" }, "all your projects"), me.projects.map((one) => h("option", { value: one.id }, `only ${one.name}`))));
  const most = field("May do", h("select", h("option", { value: "" }, "all that you may"), ["owner", "researcher", "annotator"].map((one) => h("option", { value: one }, `no more than ${one}s`))));
  const days = field("For", h("select", { name: "days" }, LIFETIMES.map(([value, text]) => h("option", { value }, text))));
  const use = field("Use", h("select", h("option", { value: "" }, "everything"), h("option", { value: "read" }, "reading only"), h("option", { value: "feedback" }, "sending feedback only")));
  const send = async (event) => {
    event.preventDefault();
    showError(name, "");
    try {
      const [project_id, role, chosen] = [project, most, days].map((one) => one.querySelector("select").value || null);
      const limits = { project_id, role, read_only: use.querySelector("select").value === "read", only: use.querySelector("select").value === "feedback" ? "feedback" : null, days: chosen && Number(chosen) };
      const made = await post("/me/tokens", { name: name.querySelector("input").value, ...limits });
      name.querySelector("input").value = "";
      await showOnce("Your new token", null, made.token, "Token");
      await listTokens(list);
    } catch (error) {
      showError(name, [error.detail, error.remedy].filter(Boolean).join(" "));
    }
  };
  return h("section.pl-card.pl-stack", h("h2", "API tokens"),
    h("p.pl-muted", "A token lets a program act as you: send it as “Authorization: Bearer …”. It has your rights, or fewer if you say so, until it ends or you revoke it. ", h("a", { href: "/reference" }, "What programs can do")),
    list, h("form.pl-stack", { onsubmit: send }, name, h("div.pl-row.pl-inline-form", project, most, use, days), h("div.pl-row.end", button("Make a token", null, { type: "submit" }))));
}

const LIFETIMES = [["30", "30 days"], ["90", "90 days"], ["365", "a year"], ["", "as long as I do not revoke it"]];
const ended = (token) => Boolean(token.expires_at) && new Date(token.expires_at) <= new Date();

async function listTokens(place) {
  const read = async () => {
    const found = [];
    for await (const token of all("/me/tokens")) found.push(token);
    return found;
  };
  const columns = [
    { title: "Name", cell: (token) => token.name },
    { title: "Limits", cell: (token) => [me.projects.find((one) => one.id === token.project_id)?.name, token.role, token.read_only ? "reads only" : null, token.only ? `${token.only} only` : null].filter(Boolean).join(", ") || "none" },
    { title: "Begins with", cell: (token) => h("span.pl-mono", `${token.prefix}…`) },
    { title: "Made", cell: (token) => ago(token.created_at) },
    { title: "Ends", cell: (token) => (token.expires_at ? new Date(token.expires_at).toLocaleDateString() : "never") },
    { title: "Last used", cell: (token) => (token.last_used_at ? ago(token.last_used_at) : "never") },
    { title: "State", cell: (token) => (token.revoked_at ? badge("revoked") : ended(token) ? badge("expired") : button("Revoke", () => revoke(token, place), { kind: "small" })) },
  ];
  await load(place, read, (tokens) => place.append(table("API tokens", columns, tokens, { none: "No token yet." })));
}

async function revoke(token, place) {
  if (!(await confirm("Revoke this token?", `Programs that use “${token.name}” stop working at once. This cannot be undone.`, "Revoke"))) return;
  try {
    await del(`/me/tokens/${token.id}`);
    toast("Revoked");
  } catch (error) {
    toastError(error);
  }
  await listTokens(place);
}

function leaving() {
  const leave = async () => {
    try {
      await del("/me/sessions");
      location.assign("/sign-in");
    } catch (error) {
      toastError(error);
    }
  };
  return h("section.pl-card", h("h2", "Sign out everywhere"), h("p.pl-muted", "Ends every browser session of yours, this one too. Tokens stay."), button("Sign out everywhere", leave));
}
