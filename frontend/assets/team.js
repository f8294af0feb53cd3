// Team: who works here, with which role; adding people, resetting passwords, closing accounts.

import { all, patch, post } from "./api.js";
import { badge, button, confirm, copy, dialog, empty, field, h, showError, table, toast, toastError } from "./dom.js";
import { ago } from "./format.js";
import { actions, me } from "./frame.js";
import { load } from "./live.js";
import { showOnce } from "./secret.js";

const ROLES = {
  annotator: "labels and votes, nothing else",
  researcher: "also imports, trains and evaluates",
  admin: "also manages people and checkpoints' folders",
};

export async function mount(element) {
  const page = h("div.pl-page.pl-stack");
  element.append(page);
  const refresh = () => load(page, people, (users) => draw(page, users, refresh));
  actions(button("Add a person", () => addPerson(refresh), { kind: "primary" }));
  await refresh();
}

async function people() {
  const found = [];
  for await (const user of all("/users")) found.push(user);
  return found;
}

function draw(page, users, refresh) {
  const columns = [
    { title: "Name", cell: (user) => [h("strong", user.name), user.id === me.id ? h("span.pl-muted", " (you)") : null] },
    { title: "Role", cell: (user) => roleChoice(user, refresh) },
    { title: "State", cell: (user) => (user.active ? badge("active", "good") : badge("closed")) },
    { title: "Since", cell: (user) => ago(user.created_at) },
    { title: "Actions", cell: (user) => deeds(user, refresh) },
  ];
  page.append(table("People", columns, users));
  if (users.length === 1) page.append(empty("You are alone here", "Add annotators to share the labelling; each sees only pairs, blind, in an order of their own.", button("Add a person", () => addPerson(refresh))));
}

function roleChoice(user, refresh) {
  const choice = h("select.pl-input", { "aria-label": `Role of ${user.name}`, title: user.id === me.id ? "Nobody changes the own role" : ROLES[user.role], disabled: user.id === me.id },
    Object.keys(ROLES).map((role) => h("option", { value: role, selected: role === user.role }, role)));
  choice.addEventListener("change", () => change(user, { role: choice.value }, `${user.name} is ${choice.value} now.`, refresh));
  return choice;
}

async function change(user, body, done, refresh) {
  try {
    await patch(`/users/${user.id}`, body);
    toast(done);
  } catch (error) {
    toastError(error);
  }
  await refresh();
}

function deeds(user, refresh) {
  if (user.id === me.id) return h("a", { href: "/account" }, "Your account");
  const reset = button("Reset password", () => resetPassword(user), { kind: "small" });
  const close = user.active
    ? button("Close", () => closeAccount(user, refresh), { kind: "small" })
    : button("Reopen", () => change(user, { active: true }, `${user.name} may sign in again.`, refresh), { kind: "small" });
  return h("div.pl-row", reset, close);
}

async function closeAccount(user, refresh) {
  const text = `${user.name} is signed out everywhere and cannot come back until you reopen the account. Labels and runs stay.`;
  if (await confirm("Close this account?", text, "Close account")) await change(user, { active: false }, `${user.name}'s account is closed.`, refresh);
}

async function resetPassword(user) {
  if (!(await confirm("Reset the password?", `${user.name}'s present password stops working, every session ends, and every API token is revoked.`, "Reset password"))) return;
  try {
    const { password } = await post(`/users/${user.id}/password-reset`);
    await showOnce(`New password for ${user.name}`, user.name, password);
  } catch (error) {
    toastError(error);
  }
}

function addPerson(refresh) {
  return dialog("Add a person", (close) => {
    const name = field("Name", h("input", { autocomplete: "off", autocapitalize: "none", maxlength: 64, required: true }), { help: "Small letters, digits and . _ @ + - ; this is what they sign in with." });
    const role = field("Role", h("select", Object.entries(ROLES).map(([key, text]) => h("option", { value: key }, `${key}: ${text}`))));
    const send = async (event) => {
      event.preventDefault();
      showError(name, "");
      try {
        const person = await post("/users", { name: name.querySelector("input").value, role: role.querySelector("select").value });
        close();
        await showOnce(`${person.name} may sign in`, person.name, person.password);
        await refresh();
      } catch (error) {
        showError(name, [error.detail, error.remedy].filter(Boolean).join(" "));
      }
    };
    return h("form.pl-stack", { onsubmit: send, novalidate: true }, name, role,
      h("div.pl-row.end", button("Cancel", () => close()), button("Add", null, { kind: "primary", type: "submit" })));
  });
}
