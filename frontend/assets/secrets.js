// Secrets: which there are, and for owners setting and deleting them. A value goes in here and never comes back.

import { del, get, post, put } from "./api.js";
import { badge, button, confirm, dialog, empty, field, h, showError, table, toast, toastError } from "./dom.js";
import { ago, plural } from "./format.js";
import { actions, isAdmin, isOwner } from "./frame.js";
import { load } from "./live.js";

const KINDS = { hub: "a hub's token, sent to the model hub", endpoint: "an endpoint's key, sent to one address only" };

export async function mount(element) {
  const list = h("div.pl-stack");
  const refresh = () => load(list, () => get("/secrets"), ({ items }) => draw(list, items, refresh));
  element.append(h("div.pl-page.pl-stack",
    h("p.pl-muted", "Tokens and keys that this project's downloads, uploads and endpoints use by name. They are stored encrypted; nobody can read them here again, only replace them."),
    list, isAdmin && rotation()));
  if (isOwner) actions(button("Add a secret", () => set(null, refresh), { kind: "primary" }));
  await refresh();
}

function draw(list, secrets, refresh) {
  if (!secrets.length) {
    list.append(empty("No secrets yet", isOwner ? "Add a hub's token to download gated models or upload yours, or the key of an endpoint." : "An owner of the project can add a hub's token or the key of an endpoint.", isOwner && button("Add a secret", () => set(null, refresh))));
    return;
  }
  list.append(table("Secrets", [
    { title: "Name", cell: (one) => h("strong.pl-mono", one.name) },
    { title: "Sent to", cell: (one) => (one.kind === "hub" ? "the model hub" : h("span.pl-mono", one.origin)) },
    { title: "Ends in", cell: (one) => h("span.pl-mono", one.hint ? `…${one.hint}` : "(short)") },
    { title: "Set", cell: (one) => [ago(one.set_at), one.set_by ? ` by ${one.set_by}` : null] },
    { title: "Last used", cell: (one) => (one.last_used_at ? ago(one.last_used_at) : badge("never")) },
    { title: "Actions", cell: (one) => (isOwner ? h("div.pl-row", button("Replace", () => set(one, refresh), { kind: "small" }), button("Delete", () => remove(one, refresh), { kind: "small" })) : null) },
  ], secrets));
}

async function remove(one, refresh) {
  if (!(await confirm(`Delete ${one.name}?`, "What needs it fails from now on and says so. This cannot be undone. Revoke the token where it came from as well.", "Delete"))) return;
  try {
    await del(`/secrets/${one.name}`);
    toast("Deleted");
  } catch (error) {
    toastError(error);
  }
  await refresh();
}

function set(known, refresh) {
  return dialog(known ? `Replace ${known.name}` : "Add a secret", (close) => {
    const name = field("Name", h("input", { value: known?.name ?? "", disabled: Boolean(known), maxlength: 64, autocomplete: "off", autocapitalize: "none", spellcheck: false, required: true }), { help: "By which downloads and endpoints ask for it. Small letters, digits and . _ -" });
    const kind = field("What it is", h("select", Object.entries(KINDS).map(([key, text]) => h("option", { value: key, selected: key === known?.kind }, text))));
    const origin = field("Address of the endpoint", h("input", { type: "url", value: known?.origin ?? "", placeholder: "https://api.example.com", maxlength: 500, autocomplete: "off" }), { help: "It is never sent anywhere else, whoever asks." });
    const value = field("Value", h("input", { type: "password", autocomplete: "new-password", maxlength: 8192, required: true }));
    const said = (one) => one.querySelector("input, select").value.trim();
    const turn = () => { origin.hidden = said(kind) !== "endpoint"; };
    kind.addEventListener("change", turn);
    turn();
    const fields = { name, kind, origin, value };
    const send = async (event) => {
      event.preventDefault();
      Object.values(fields).forEach((one) => showError(one, ""));
      if (!/^[a-z0-9][a-z0-9._-]{0,63}$/.test(said(name))) return showError(name, "Small letters, digits and . _ - ; it begins with a letter or digit.");
      try {
        await put(`/secrets/${said(name)}`, { kind: said(kind), value: said(value), origin: origin.hidden ? null : said(origin) || null });
        close();
        toast(`${said(name)} is set.`);
        return await refresh();
      } catch (error) {
        return showError(fields[error.field] ?? value, [error.detail, error.remedy].filter(Boolean).join(" "));
      }
    };
    return h("form.pl-stack", { onsubmit: send, novalidate: true, autocomplete: "off" }, name, kind, origin, value,
      h("div.pl-row.end", button("Cancel", () => close()), button(known ? "Replace" : "Add", null, { kind: "primary", type: "submit" })));
  });
}

function rotation() {
  const turn = async () => {
    try {
      const { sealed_again: amount } = await post("/secrets-rotation");
      toast(amount ? `${plural(amount, "secret")} encrypted again.` : "All secrets are under the newest key already.");
    } catch (error) {
      toastError(error);
    }
  };
  return h("details", h("summary", "Changing the server's key"),
    h("div.pl-stack.tight", h("p.pl-muted", "Put the new key before the old one in PLUMBLINE_SECRET_KEY, with a comma between them, and restart. Then encrypt every secret of every project with the new key here, and take the old one away."),
      h("div.pl-row", button("Encrypt again with the newest key", turn))));
}
