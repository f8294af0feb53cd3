// A model that an OpenAI-compatible server serves: its address, what it lists, one answer as a test.

import { get, newKey, post, put } from "./api.js";
import { button, field, fill, h, showError, toast, toastError } from "./dom.js";

const number = (input) => (input.value === "" ? null : Number(input.value));

// `known` is a registered endpoint that is to be changed.
export function endpoint(close, known = null) {
  const name = h("input", { type: "text", maxlength: 120 });
  const url = h("input", { type: "url", maxlength: 2000, placeholder: "the address that ends in /v1", spellcheck: "false", autocomplete: "off" });
  const listed = h("datalist", { id: "pl-endpoint-models" });
  const model = h("input", { type: "text", maxlength: 300, list: "pl-endpoint-models", placeholder: "As the server names it", spellcheck: "false", autocomplete: "off" });
  const held = known?.endpoint.secret; // offered before the list comes, so that it is not lost
  const secret = h("select", h("option", { value: "" }, "None"), held && h("option", { value: held, selected: true }, held));
  const concurrency = h("input", { type: "number", min: 1, max: 64, value: 4 });
  const timeout = h("input", { type: "number", min: 1, max: 600, value: 120 });
  const perMinute = h("input", { type: "number", min: 1, max: 1000000, placeholder: "no limit" });
  const inPrice = h("input", { type: "number", min: 0, step: "any", placeholder: "not known" });
  const outPrice = h("input", { type: "number", min: 0, step: "any", placeholder: "not known" });
  get("/secrets").then(({ items }) => secret.append(...items.filter((one) => one.kind === "endpoint" && one.name !== held).map((one) => h("option", { value: one.name }, `${one.name} for ${one.origin}`))), () => null);
  if (known) {
    const { base_url, model: served, concurrency: at_once, timeout_seconds } = known.endpoint;
    [perMinute.value, inPrice.value, outPrice.value] = [known.endpoint.requests_per_minute, known.endpoint.input_price, known.endpoint.output_price].map((value) => value ?? "");
    [name.value, url.value, model.value, concurrency.value, timeout.value] = [known.name, base_url, served, at_once, timeout_seconds];
  }
  const fields = {
    name: known && field("Name", name),
    base_url: field("Address", url, { help: "Up to and with /v1. Addresses in a private network need an admin's leave." }),
    secret: field("Key", secret, { help: "Owners set keys under Secrets, each for one server." }),
    model: field("Model", model),
    concurrency: field("Requests at once", concurrency),
    timeout_seconds: field("Longest silence, seconds", timeout),
    requests_per_minute: field("Requests a minute", perMinute),
    input_price: field("Price of a million tokens read", inPrice, { help: "0 where it costs nothing." }),
    output_price: field("Price of a million tokens written", outPrice),
  };
  const clear = () => Object.values(fields).forEach((one) => one && showError(one, ""));
  const fail = (error) => (fields[error.field] ? showError(fields[error.field], [error.detail, error.remedy].filter(Boolean).join(" ")) : toastError(error));
  const where = () => ({ base_url: url.value.trim(), ...(secret.value ? { secret: secret.value } : {}) });
  const list = async () => {
    clear();
    try {
      const { items } = await post("/endpoints/models", where());
      fill(listed, items.map((one) => h("option", { value: one.model })));
      if (items.length === 1) model.value = items[0].model;
      toast(items.length ? `It serves ${items.length === 1 ? items[0].model : `${items.length} models: choose one`}.` : "It answers and lists no models: type the name.");
      model.focus();
    } catch (error) {
      fail(error);
    }
  };
  const send = async (event) => {
    event.preventDefault();
    clear();
    register.setAttribute("aria-busy", "true");
    const wanted = { ...where(), model: model.value.trim(), concurrency: Number(concurrency.value), timeout_seconds: Number(timeout.value), requests_per_minute: number(perMinute), input_price: number(inPrice), output_price: number(outPrice) };
    try {
      const made = await (known ? put(`/endpoints/${known.id}`, { ...wanted, name: name.value.trim() }) : post("/endpoints", wanted, { key: newKey() }));
      toast(known ? `“${made.name}” is changed.` : `“${made.name}” answered and is registered.`);
      close("registered");
    } catch (error) {
      fail(error);
    }
    register.removeAttribute("aria-busy");
  };
  const register = button(known ? "Save changes" : "Test and register", null, { type: "submit", kind: "primary" });
  return h("form.pl-stack", { onsubmit: send, novalidate: true }, fields.name, fields.base_url, fields.secret,
    h("div.pl-row.pl-inline-form", fields.model, button("List models", list)), listed,
    h("div.pl-form", fields.concurrency, fields.timeout_seconds, fields.requests_per_minute, fields.input_price, fields.output_price),
    h("p.pl-muted", "It answers in evaluations and in the arena like any checkpoint, and can judge. Nothing can be trained on it: its weights are not here."),
    h("div.pl-row.end", register));
}
