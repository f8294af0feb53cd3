// Accounts of the whole instance, for its admins: adding people, resetting passwords, closing accounts.

import { all, patch, post } from "./api.js";
import { badge, button, confirm, dialog, empty, field, h, showError, table, toast, toastError } from "./dom.js";
import { ago } from "./format.js";
import { actions, me } from "./frame.js";
import { load } from "./live.js";
import { expect, removeData } from "./person.js";
import { showOnce } from "./secret.js";
import { ROLES } from "./team.js";

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
    { title: "Admin", cell: (user) => adminSwitch(user, refresh), hint: "Admins look after accounts and see every project" },
    { title: "State", cell: (user) => (user.active ? badge("active", "good") : badge("closed")) },
    { title: "Since", cell: (user) => ago(user.created_at) },
    { title: "Actions", cell: (user) => deeds(user, refresh) },
  ];
  page.append(table("People", columns, users));
  if (users.length === 1) page.append(empty("You are alone here", "Add people by name and password, or invite them into a project under Members.", button("Add a person", () => addPerson(refresh))));
}

function adminSwitch(user, refresh) {
  const box = h("input", { type: "checkbox", checked: user.admin, disabled: user.id === me.id, "aria-label": `${user.name} is an admin`, title: user.id === me.id ? "Nobody changes the own rights" : null });
  box.addEventListener("change", () => change(user, { admin: box.checked }, box.checked ? `${user.name} is an admin now.` : `${user.name} is no longer an admin.`, refresh));
  return box;
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
  const known = button("Expect", () => expect(user), { kind: "small", title: "Let this person in by the sign-in provider" });
  const erase = button("Remove data", () => removeData(user, refresh), { kind: "small" });
  return h("div.pl-row", reset, close, known, erase);
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
    const admin = h("input", { type: "checkbox" });
    const role = field("Role in this project", h("select", Object.entries(ROLES).map(([key, text]) => h("option", { value: key }, `${key}: ${text}`)), h("option", { value: "" }, "none: in no project yet")));
    const send = async (event) => {
      event.preventDefault();
      showError(name, "");
      try {
        const person = await post("/users", { name: name.querySelector("input").value, admin: admin.checked });
        close();
        const chosen = role.querySelector("select").value;
        if (chosen) await post("/members", { name: person.name, role: chosen }).catch(toastError);
        await showOnce(`${person.name} may sign in`, person.name, person.password);
        await refresh();
      } catch (error) {
        showError(name, [error.detail, error.remedy].filter(Boolean).join(" "));
      }
    };
    return h("form.pl-stack", { onsubmit: send, novalidate: true }, name, role, h("label.pl-row", admin, "Admin of everything: accounts and all projects"),
      h("div.pl-row.end", button("Cancel", () => close()), button("Add", null, { kind: "primary", type: "submit" })));
  });
}
