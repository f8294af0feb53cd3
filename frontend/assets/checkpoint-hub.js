// A model of a hub: looked at first (license, size, access, room on the disk), then downloaded.

import { get, newKey, post } from "./api.js";
import { badge, button, empty, field, fill, h, showError, skeleton, toastError } from "./dom.js";
import { templateEditor } from "./checkpoint-template.js";
import { bytes, count, plural } from "./format.js";
import { noHub, param } from "./frame.js";
import { size } from "./run-state.js";

export function hub(close) {
  if (noHub) return empty("Offline", noHub);
  const id = h("input", { type: "text", maxlength: 200, value: param("hub") || "", placeholder: "owner/model", spellcheck: "false", autocomplete: "off" });
  const revision = h("input", { type: "text", maxlength: 128, value: "main", spellcheck: "false", autocomplete: "off" });
  const secret = h("select", h("option", { value: "" }, "The project's, else the server's"));
  get("/secrets").then(({ items }) => secret.append(...items.filter((one) => one.kind === "hub").map((one) => h("option", { value: one.name }, one.hint ? `${one.name} (…${one.hint})` : one.name))), () => null);
  const fields = {
    hub_id: field("Model", id),
    revision: field("Revision", revision, { help: "A commit; a branch or tag is pinned to the commit it names now." }),
    secret: field("Token", secret, { help: "Opens gated and private models. Owners set tokens under Secrets." }),
  };
  const place = h("div.pl-stack");
  const wanted = () => ({ hub_id: id.value.trim(), revision: revision.value.trim() || "main", ...(secret.value ? { secret: secret.value } : {}) });
  const fail = (error) => {
    const name = (error.field || "").replace("query.", "");
    if (!fields[name]) return toastError(error);
    const bad = name === "hub_id" && !error.remedy;
    showError(fields[name], bad ? "That is no model's name: write owner/model." : [error.detail, error.remedy].filter(Boolean).join(" "));
    return null;
  };
  const look = async (event) => {
    event.preventDefault();
    Object.values(fields).forEach((one) => showError(one, ""));
    fill(place, skeleton(4));
    const asked = wanted();
    try {
      fill(place, model(await get("/hub/models", asked), asked, close, fail));
    } catch (error) {
      fill(place);
      fail(error);
    }
  };
  for (const input of [id, revision, secret]) input.addEventListener("input", () => fill(place));
  return h("div.pl-stack", h("form.pl-stack", { onsubmit: look }, fields.hub_id, h("div.pl-form", fields.revision, fields.secret), h("div.pl-row.end", button("Look it up", null, { type: "submit" }))), place);
}

function model(found, asked, close, fail) {
  const template = found.chat_template === false && !found.refusal ? templateEditor() : null;
  const download = async () => {
    const given = template?.value().trim() ? { chat_template: template.value() } : {};
    try {
      await post("/fetches", { ...asked, ...given }, { key: newKey() });
      close("downloading");
    } catch (error) {
      if (template && error.field === "chat_template") template.fail(error);
      else fail(error);
    }
  };
  return [
    h("dl.pl-facts", rows(found).map(([name, value]) => [h("dt", name), h("dd", value)])),
    h("details", h("summary", `${plural(found.files.length, "file")} to download`), h("table.pl-table", h("tbody", found.files.map((one) => h("tr", h("td", h("code", one.name)), h("td.number", bytes(one.bytes))))))),
    found.warnings.length ? h("ul.pl-findings", found.warnings.map((one) => h("li.warning", one))) : null,
    found.refusal && h("div.pl-error", { role: "alert" }, h("strong", "It cannot be downloaded now"), h("p", found.refusal), found.remedy && h("p", found.remedy)),
    template ? template.element : null,
    h("div.pl-row.end", button(`Download ${bytes(found.bytes)}`, download, { kind: "primary", disabled: found.refusal })),
  ];
}

const rows = (found) => [
  ["License", found.license || "not stated"],
  ["Size", `${bytes(found.bytes)}${found.left_out ? ` (${plural(found.left_out, "other file")} left out)` : ""}`],
  ["Free here", bytes(found.free_bytes)],
  ["Architecture", [found.architecture || "cannot be read yet", found.parameters ? h("span", { title: count(found.parameters) }, ` · ${size(found.parameters)} parameters`) : null]],
  ["Chat template", found.chat_template === null ? "cannot be told yet" : found.chat_template ? "there" : badge("missing", "warn")],
  ["Access", [found.gated ? badge("gated", "warn") : found.private ? badge("private") : "open to everybody", found.token ? h("span.pl-muted", " asked with a token") : null]],
  ["Commit", h("code.pl-mono", { title: found.commit }, found.commit.slice(0, 12))],
];
