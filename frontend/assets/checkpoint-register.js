// Registering: a folder inside one that the admin allows, a model of a hub at a pinned commit, or an endpoint.

import { get, newKey, post } from "./api.js";
import { badge, button, dialog, errorCard, field, fill, h, showError, skeleton, toast, toastError } from "./dom.js";
import { endpoint } from "./checkpoint-endpoint.js";
import { hub } from "./checkpoint-hub.js";
import { param } from "./frame.js";

// Resolves to "registered", "downloading" or null.
export const registerDialog = () => dialog("Register a checkpoint", (close) => {
  const place = h("div");
  const parts = { folder: () => folders(close), hub: () => hub(close), endpoint: () => endpoint(close) };
  const buttons = [["folder", "From a folder"], ["hub", "From a hub"], ["endpoint", "Endpoint"]].map(([value, words]) => h("button", { type: "button", value, onclick: () => show(value) }, words));
  const show = (value) => {
    buttons.forEach((one) => one.setAttribute("aria-pressed", String(one.value === value)));
    fill(place, parts[value]());
  };
  show(param("hub") ? "hub" : "folder");
  return [h("div.pl-segments", { role: "group", "aria-label": "Where from" }, buttons), place,
    h("p.pl-muted", "Of weights only safetensors with their tokenizer; no code of a checkpoint is ever run.")];
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
      fill(list, items.length ? items.map((one) => folder(one, register)) : h("p.pl-muted", "No folder of weights lies in the allowed folders. Put one into the folder “checkpoints” of Plumbline's data, or let an admin name others in PLUMBLINE_CHECKPOINT_ROOTS."));
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
    h("code", one.folder), one.reason && h("span", one.reason), one.remedy && h("span.pl-muted", one.remedy), one.chat_template ? null : h("span.pl-muted", "It has no chat template: give it one on its page once it is registered."));
