// Team: who is in this project, as what; invitations and their links.

import { all, del, get, patch, post } from "./api.js";
import { badge, button, confirm, copy, dialog, empty, field, h, showError, table, toast, toastError } from "./dom.js";
import { ago } from "./format.js";
import { actions, isAdmin, isOwner, me } from "./frame.js";
import { load } from "./live.js";

export const ROLES = {
  annotator: "labels and votes, nothing else",
  researcher: "also imports, trains and evaluates",
  owner: "also looks after members, secrets and the project itself",
};

export async function mount(element) {
  const page = h("div.pl-page.pl-stack");
  element.append(page);
  const refresh = () => load(page, read, (found) => draw(page, found, refresh));
  if (isOwner) {
    actions(
      isAdmin && button("Add an account", () => addAccount(refresh)),
      button("Invite", () => invite(refresh), { kind: "primary" }),
    );
  }
  await refresh();
}

async function read() {
  const members = [];
  for await (const one of all("/members")) members.push(one);
  const invitations = isOwner ? (await get("/invitations")).items : [];
  return { members, invitations };
}

function draw(page, { members, invitations }, refresh) {
  const columns = [
    { title: "Name", cell: (one) => [h("strong", one.name), one.user_id === me.id ? h("span.pl-muted", " (you)") : null] },
    { title: "Role", cell: (one) => (isOwner ? roleChoice(one, refresh) : badge(one.role)) },
    { title: "Since", cell: (one) => [ago(one.since), one.active ? null : [" ", badge("account closed")]] },
    { title: "Actions", cell: (one) => deed(one, members, refresh) },
  ];
  page.append(h("section.pl-stack.tight", h("h2", `Members of ${me.project.name}`), table("Members", columns, members, { none: "Nobody is a member. Admins see the project all the same." })));
  if (!isOwner) return;
  if (members.length <= 1 && !invitations.length) {
    page.append(empty("You are alone here", "Invite annotators to share the labelling; each sees only pairs, blind, in an order of their own.", button("Invite", () => invite(refresh))));
  }
  const open = invitations.filter((one) => one.state === "open");
  const past = invitations.filter((one) => one.state !== "open");
  if (open.length) page.append(h("section.pl-stack.tight", h("h2", "Open invitations"), invitationTable(open, refresh)));
  if (past.length) page.append(h("details", h("summary", `Earlier invitations (${past.length})`), invitationTable(past, refresh)));
}

function roleChoice(one, refresh) {
  const choice = h("select.pl-input", { "aria-label": `Role of ${one.name}`, title: ROLES[one.role] },
    Object.keys(ROLES).map((role) => h("option", { value: role, selected: role === one.role }, role)));
  choice.addEventListener("change", async () => {
    const down = one.user_id === me.id && !isAdmin;
    if (down && !(await confirm("Give up your own role?", `You will be ${choice.value} here; only another owner can change that back.`, "Give it up"))) {
      choice.value = one.role;
      return;
    }
    await act(() => patch(`/members/${one.user_id}`, { role: choice.value }), `${one.name} is ${choice.value} now.`, down ? () => location.reload() : refresh);
  });
  return choice;
}

async function act(ask, done, after) {
  try {
    await ask();
    toast(done);
  } catch (error) {
    toastError(error);
    if (error.outside) return;
  }
  await after();
}

function deed(one, members, refresh) {
  const mine = one.user_id === me.id;
  if (!mine && !isOwner) return null;
  const last = one.role === "owner" && members.filter((other) => other.role === "owner").length === 1;
  const why = last ? "A project has an owner at all times: make another owner first." : null;
  return button(mine ? "Leave" : "Remove", () => remove(one, mine, refresh), { kind: "small", disabled: why });
}

async function remove(one, mine, refresh) {
  const kept = "Labels and votes stay; pairs held just now go to others.";
  const text = mine ? `You will not see this project any more. ${kept}` : `${one.name} will not see this project any more, from this moment on. ${kept}`;
  if (!(await confirm(mine ? "Leave this project?" : `Remove ${one.name}?`, text, mine ? "Leave" : "Remove"))) return;
  await act(() => del(`/members/${one.user_id}`), mine ? "You have left." : `${one.name} is out.`, mine && !me.admin ? () => location.assign("/account") : refresh);
}

const STATES = { open: "good", accepted: "good", revoked: "bad", expired: "warn" };

function invitationTable(rows, refresh) {
  return table("Invitations", [
    { title: "For", cell: (one) => one.hint },
    { title: "As", cell: (one) => badge(one.role) },
    { title: "State", cell: (one) => [badge(one.state, STATES[one.state]), one.accepted_by ? ` by ${one.accepted_by}` : null] },
    { title: "From", cell: (one) => [one.created_by || "somebody who is gone", ", ", ago(one.created_at)] },
    { title: "Until", cell: (one) => new Date(one.expires_at).toLocaleDateString() },
    { title: "Actions", cell: (one) => (one.state === "open" ? button("Revoke", () => revoke(one, refresh), { kind: "small" }) : null) },
  ], rows);
}

const revoke = (one, refresh) => act(() => del(`/invitations/${one.id}`), "The link opens nothing any more.", refresh);

const roleField = () => {
  const choice = field("Role", h("select", Object.entries(ROLES).map(([key, text]) => h("option", { value: key }, `${key}: ${text}`))));
  return choice;
};

const value = (one) => one.querySelector("input, select").value;

function form(close, fields, verb, ask) {
  const send = async (event) => {
    event.preventDefault();
    fields.forEach((one) => showError(one, ""));
    try {
      await ask();
    } catch (error) {
      const place = fields.find((one) => one.dataset.name === error.field) || fields[0];
      showError(place, [error.detail, error.remedy].filter(Boolean).join(" "));
    }
  };
  return h("form.pl-stack", { onsubmit: send, novalidate: true }, fields,
    h("div.pl-row.end", button("Cancel", () => close()), button(verb, null, { kind: "primary", type: "submit" })));
}

function invite(refresh) {
  return dialog("Invite somebody", (close) => {
    const hint = field("Who", h("input", { maxlength: 120, autocomplete: "off", required: true }), { help: "A name or an address, for your list. Nothing is sent: you hand over the link." });
    const role = roleField();
    const days = field("Days that the link opens", h("input", { type: "number", min: 1, max: 90, value: 7 }));
    return form(close, [hint, role, days], "Make the link", async () => {
      const made = await post("/invitations", { hint: value(hint), role: value(role), days: Number(value(days)) });
      close();
      await showLink(made);
      await refresh();
    });
  });
}

// After the number sign: browsers send that part to nobody, so it is in no log on the way.
function showLink(made) {
  const address = `${location.origin}/invitation#${made.token}`;
  return dialog(`The link for ${made.hint}`, (close) => [
    h("p", "Hand this over now: it opens once, for one person, and cannot be shown again."),
    h("p.pl-mono.pl-secret", address),
    h("div.pl-row.end", button("Copy", () => copy(address)), button("Done", () => close(), { kind: "primary" })),
  ]);
}

function addAccount(refresh) {
  return dialog("Add an account to this project", (close) => {
    const name = field("Name", h("input", { maxlength: 64, autocomplete: "off", autocapitalize: "none", required: true }), { help: "Of somebody who has an account here already." });
    const role = roleField();
    return form(close, [name, role], "Add", async () => {
      await post("/members", { name: value(name), role: value(role) });
      close();
      await refresh();
    });
  });
}
