// Registering: a folder inside one that the admin allows, or a model of a hub at a pinned commit.

import { get, newKey, post } from "./api.js";
import { badge, button, dialog, errorCard, field, fill, h, showError, skeleton, toast, toastError } from "./dom.js";

// Resolves to "registered", "downloading" or null.
export const registerDialog = () => dialog("Register a checkpoint", (close) => {
  const place = h("div");
  const parts = { folder: () => folders(close), hub: () => hub(close) };
  const buttons = [["folder", "From a folder"], ["hub", "From a hub"]].map(([value, words]) => h("button", { type: "button", value, onclick: () => show(value) }, words));
  const show = (value) => {
    buttons.forEach((one) => one.setAttribute("aria-pressed", String(one.value === value)));
    fill(place, parts[value]());
  };
  show("folder");
  return [h("div.pl-segments", { role: "group", "aria-label": "Where from" }, buttons), place,
    h("p.pl-muted", "Only safetensors weights with a tokenizer and a chat template; no code of a checkpoint is ever run.")];
});

function folders(close) {
  const list = h("div.pl-folder-list", skeleton(3));
  const typed = h("input", { type: "text", maxlength: 4096, placeholder: "/models/my-model", spellcheck: "false" });
  const path = field("Or type its path", typed);
  const register = async (folder, onfail) => {
    try {
      const made = await post("/checkpoints", { folder }, { key: newKey() });
      toast(`“${made.name}” is registered.`);
      close("registered");
    } catch (error) {
      onfail(error);
    }
  };
  const refresh = async () => {
    try {
      const { items } = await get("/checkpoint-folders");
      fill(list, items.length ? items.map((one) => folder(one, register)) : h("p.pl-muted", "No folder of weights lies in the allowed folders. Put one into the folder `checkpoints` of Plumbline's data, or let an admin name others in PLUMBLINE_CHECKPOINT_ROOTS."));
    } catch (error) {
      fill(list, errorCard(error, refresh));
    }
  };
  refresh();
  const send = (event) => {
    event.preventDefault();
    showError(path, "");
    register(typed.value.trim(), (error) => showError(path, [error.detail, error.remedy].filter(Boolean).join(" ")));
  };
  return h("div.pl-stack", list, h("form.pl-row.pl-inline-form", { onsubmit: send }, path, button("Register", null, { type: "submit" })));
}

const folder = (one, register) =>
  h("div.pl-folder", h("div.pl-row.between", h("strong", one.name),
    one.registered ? h("a", { href: `/checkpoint?id=${one.registered}` }, "registered") : one.reason ? badge("cannot be used", "bad") : button("Register", () => register(one.folder, toastError), { kind: "small primary" })),
    h("code", one.folder), one.reason && h("span", one.reason), one.remedy && h("span.pl-muted", one.remedy));

function hub(close) {
  const id = h("input", { type: "text", maxlength: 200, placeholder: "owner/model", spellcheck: "false", autocomplete: "off" });
  const revision = h("input", { type: "text", maxlength: 128, value: "main", spellcheck: "false", autocomplete: "off" });
  const fields = { hub_id: field("Model", id), revision: field("Revision", revision, { help: "A commit; a branch or tag is pinned to the commit it names now." }) };
  const send = async (event) => {
    event.preventDefault();
    Object.values(fields).forEach((one) => showError(one, ""));
    try {
      await post("/fetches", { hub_id: id.value.trim(), revision: revision.value.trim() || "main" }, { key: newKey() });
      close("downloading");
    } catch (error) {
      if (error.field && fields[error.field]) showError(fields[error.field], error.field === "hub_id" ? "That is no model's name: write owner/model." : error.detail);
      else toastError(error);
    }
  };
  return h("form.pl-stack", { onsubmit: send }, fields.hub_id, fields.revision, h("div.pl-row.end", button("Download", null, { type: "submit", kind: "primary" })));
}
