// Forms drawn from a JSON schema as pydantic writes it: types, bounds, defaults and descriptions are the form.

import { fill, h, showError } from "./dom.js";

// const form = schemaForm(schema, { values, skip: ["name"], onchange, parts: { objective: [{name, title, schema}] } });
// place.append(form.element); form.value() -> the object; form.fail("beta", "must be above 0") -> true if shown
// Fields: number, integer, boolean, string, choices, lists of words or of objects, nested objects, one-of by a named
// field, parts of a catalogue (`x-part` names the catalogue, which `parts` holds), nullable.
export function schemaForm(schema, { values = {}, skip = [], onchange = () => {}, parts = {} } = {}) {
  return objectForm(schema, { ...schema.$defs, [PARTS]: parts }, values, skip, onchange);
}

const PARTS = Symbol("parts");

function objectForm(schema, defs, values, skip, onchange) {
  const fields = new Map();
  const element = h("div.pl-form");
  for (const [name, property] of Object.entries(schema.properties || {})) {
    if (skip.includes(name)) continue;
    const made = makeField(name, property, defs, values ? values[name] : undefined, onchange);
    fields.set(name, made);
    if (made.element) element.append(made.element);
  }
  return {
    element,
    value: () => Object.fromEntries([...fields].map(([name, made]) => [name, made.value()]).filter(([, value]) => value !== undefined)),
    // `path` is the API's field path: "beta" or "objective.beta".
    fail(path, text) {
      const parts = String(path).split(".");
      for (let at = 0; at < parts.length; at += 1) {
        const made = fields.get(parts[at]);
        if (made) return made.fail(parts.slice(at + 1).join("."), text);
      }
      return false;
    },
    clear: () => fields.forEach((made) => made.fail("", "")),
    set: (name, value) => fields.get(name)?.set?.(value),
  };
}

function resolve(property, defs) {
  if (property.$ref) return { ...resolve(defs[property.$ref.split("/").pop()], defs), ...without(property, "$ref") };
  if (property.allOf?.length === 1) return { ...resolve(property.allOf[0], defs), ...without(property, "allOf") };
  const options = property.anyOf || [];
  const real = options.filter((option) => option.type !== "null");
  if (options.length > real.length && real.length === 1) return { ...resolve(real[0], defs), ...without(property, "anyOf"), nullable: true };
  return property;
}

const without = (object, key) => Object.fromEntries(Object.entries(object).filter(([name]) => name !== key));

function makeField(name, property, defs, given, onchange) {
  const schema = resolve(property, defs);
  const start = given === undefined ? schema.default : given;
  // Pydantic makes titles of names, Every Word Large; only a title that somebody wrote counts.
  const written = schema.title && !schema.properties && schema.title.toLowerCase() !== name.replaceAll("_", " ");
  const label = humane(written ? schema.title : name);
  if (schema.const !== undefined) return { element: null, value: () => schema.const, fail: () => false };
  if (schema["x-part"]) return partOf(schema, defs, start, label, onchange);
  if (schema.oneOf || (schema.anyOf && schema.anyOf.some((option) => option.$ref))) return choiceOfForms(name, schema, defs, start, label, onchange);
  if (schema.properties) return group(schema, defs, start, label, onchange);
  if (schema.enum) return choice(schema, start, label, onchange);
  if (schema.type === "boolean") return toggle(schema, start, label, onchange);
  if (schema.type === "number" || schema.type === "integer") return numeric(schema, start, label, onchange);
  if (schema.type === "array" && schema.format === "lines") return lines(schema, start, label, onchange);
  if (schema.type === "array" && schema.items?.enum) return several(schema, start, label, onchange);
  if (schema.type === "array" && resolve(schema.items || {}, defs).properties) return list(schema, defs, start, label, onchange);
  if (schema.type === "array") return words(schema, start, label, onchange);
  if (schema.anyOf) return mixed(schema, start, label, onchange);
  return text(schema, start, label, onchange);
}

// "learning_rate" -> "Learning rate"
const humane = (name) => {
  const plain = String(name).replaceAll("_", " ").replace(/\bjson\b/i, "JSON");
  return plain.charAt(0).toUpperCase() + plain.slice(1);
};

let serial = 0;

function wrap(label, input, schema, extra = null) {
  serial += 1;
  const id = `pl-schema-${serial}`;
  input.id = id;
  input.classList.add("pl-input");
  input.setAttribute("aria-describedby", `${id}-help ${id}-error`);
  const help = [schema.description, bounds(schema), schema.published].filter(Boolean).join(" ");
  const element = h("div.pl-field", h("label", { for: id }, label), extra ? h("div.pl-slider", extra, input) : input,
    h("small.pl-help", { id: `${id}-help` }, help), h("small.pl-field-error", { id: `${id}-error`, role: "alert" }));
  return { element, fail: (_rest, why) => { showError(element, why); return true; } };
}

function bounds(schema) {
  const parts = [
    schema.exclusiveMinimum !== undefined && `above ${schema.exclusiveMinimum}`,
    schema.minimum !== undefined && `at least ${schema.minimum}`,
    schema.exclusiveMaximum !== undefined && `below ${schema.exclusiveMaximum}`,
    schema.maximum !== undefined && `at most ${schema.maximum}`,
    schema.multipleOf !== undefined && `a multiple of ${schema.multipleOf}`,
  ].filter(Boolean);
  return parts.length ? `(${parts.join(", ")})` : "";
}

function outside(value, schema) {
  if (schema.exclusiveMinimum !== undefined && value <= schema.exclusiveMinimum) return true;
  if (schema.minimum !== undefined && value < schema.minimum) return true;
  if (schema.exclusiveMaximum !== undefined && value >= schema.exclusiveMaximum) return true;
  if (schema.multipleOf !== undefined && value % schema.multipleOf) return true;
  return schema.maximum !== undefined && value > schema.maximum;
}

// Numbers are typed as people write them: 5e-7 and 0.1. What is no number is sent as it stands and refused by name.
// `schema.slide` = {low, high, log} adds a slider over what is usual, where the bounds are too far apart for one.
function numeric(schema, start, label, onchange) {
  const input = h("input", { type: "text", inputmode: "decimal", autocomplete: "off", value: spelled(start), placeholder: schema.nullable ? "none" : "" });
  const slider = sliderFor(schema, start, label);
  const made = wrap(label, input, schema, slider?.element);
  const read = () => {
    const typed = input.value.trim();
    if (typed === "") return schema.nullable ? null : ""; // which is refused: a default would be one that nobody sees
    return Number.isNaN(Number(typed)) ? typed : Number(typed);
  };
  const check = () => {
    const value = read();
    const wrong = value === "" ? "Give a number." : typeof value === "string" ? "Not a number." : typeof value === "number" && outside(value, schema) ? `Must be ${bounds(schema).slice(1, -1)}.`
      : schema.type === "integer" && typeof value === "number" && !Number.isInteger(value) ? "Must be a whole number." : "";
    showError(made.element, wrong);
    onchange();
  };
  input.addEventListener("input", () => { slider?.show(read()); check(); });
  slider?.element.addEventListener("input", () => { input.value = slider.value(); check(); });
  return { ...made, value: read, set: (value) => { input.value = spelled(value); slider?.show(value); check(); } };
}

const NOTCHES = 200; // of a slider over powers of ten

function sliderFor(schema, start, label) {
  const slide = schema.slide || (slidable(schema) && { low: schema.minimum ?? schema.exclusiveMinimum, high: schema.maximum ?? schema.exclusiveMaximum });
  if (!slide) return null;
  const ratio = slide.log ? Math.log(slide.high / slide.low) : 0;
  const whole = schema.type === "integer";
  const attributes = slide.log ? { min: 0, max: NOTCHES, step: 1 } : { min: slide.low, max: slide.high, step: schema.multipleOf || (whole ? 1 : slide.step || 0.01) };
  const element = h("input", { type: "range", ...attributes, "aria-label": `${label}, slider` });
  const value = () => {
    if (!slide.log) return Number(element.value);
    const found = Number((slide.low * Math.exp((ratio * element.value) / NOTCHES)).toPrecision(2));
    return whole ? Math.round(found) : found;
  };
  const show = (number) => {
    if (typeof number !== "number") return;
    element.value = slide.log ? Math.round((NOTCHES * Math.log(Math.max(number, slide.low) / slide.low)) / ratio) : number;
    element.setAttribute("aria-valuetext", String(number));
  };
  show(start ?? 0);
  element.addEventListener("input", () => element.setAttribute("aria-valuetext", String(value())));
  return { element, value, show };
}

// 0.000005 is written 5e-6.
const spelled = (value) => (typeof value === "number" && value !== 0 && Math.abs(value) < 1e-3 ? value.toExponential().replace("e+", "e") : value ?? "");

function slidable(schema) {
  if (schema.default && Math.abs(schema.default) < 0.01) return false; // learning rates live in powers of ten
  const [low, high] = [schema.minimum ?? schema.exclusiveMinimum, schema.maximum ?? schema.exclusiveMaximum];
  return low !== undefined && high !== undefined && high - low <= (schema.type === "integer" ? 64 : 2);
}

function toggle(schema, start, label, onchange) {
  const input = h("input", { type: "checkbox", checked: Boolean(start), onchange });
  const failure = h("small.pl-field-error", { role: "alert" });
  const element = h("div.pl-field", h("label.pl-check", input, h("span", label)), schema.description && h("small.pl-help", schema.description), failure);
  const set = (value) => { input.checked = Boolean(value); onchange(); };
  return { element, value: () => input.checked, set, fail: (_rest, why) => { failure.textContent = why; return true; } };
}

function choice(schema, start, label, onchange) {
  const none = schema.nullable ? [h("option", { value: "" }, "None")] : [];
  const input = h("select", { onchange }, none, schema.enum.map((one) => h("option", { value: String(one), selected: one === start }, schema.labels?.[one] ?? String(one))));
  const set = (value) => { input.value = String(value ?? ""); onchange(); };
  return { ...wrap(label, input, schema), set, value: () => schema.enum.find((one) => String(one) === input.value) ?? null };
}

// A button that puts the text of a file into a field; the file goes nowhere else.
function textFile(area, made, onchange) {
  const input = h("input", { type: "file", hidden: true, accept: ".txt,.json,.jsonl,.md,text/plain" });
  input.addEventListener("change", async () => {
    const [file] = input.files;
    input.value = "";
    if (!file) return;
    if (file.size > 4 * area.maxLength) return void made.fail("", `That file is longer than ${area.maxLength} characters.`);
    area.value = await file.text();
    onchange();
  });
  return h("div", input, h("button.pl-button.small", { type: "button", onclick: () => input.click() }, "Take it from a file"));
}

// A list whose entries may hold commas: one a line.
function lines(schema, start, label, onchange) {
  const area = h("textarea", { rows: 3, spellcheck: "false", oninput: onchange });
  area.value = (start || []).join("\n");
  return { ...wrap(label, area, schema), value: () => area.value.split("\n").filter((one) => one.trim()) };
}

// Several of a list of choices, ticked in any number that the schema allows.
function several(schema, start, label, onchange) {
  const boxes = schema.items.enum.map((one) => [one, h("input", { type: "checkbox", checked: (start || []).includes(one), onchange })]);
  const failure = h("small.pl-field-error", { role: "alert" });
  const element = h("fieldset.pl-fieldset", h("legend", label), schema.description && h("small.pl-help", schema.description),
    boxes.map(([one, box]) => h("label.pl-check", box, h("span", schema.items.labels?.[one] ?? String(one)))), failure);
  return { element, value: () => boxes.filter(([, box]) => box.checked).map(([one]) => one), fail: (_rest, why) => { failure.textContent = why; return true; } };
}

function text(schema, start, label, onchange) {
  if (schema.format === "multiline") {
    const area = h("textarea", { rows: start ? 12 : 4, maxlength: schema.maxLength, spellcheck: "false", oninput: onchange });
    area.value = start ?? "";
    const made = wrap(label, area, schema);
    if (schema.file) made.element.append(textFile(area, made, onchange));
    return { ...made, value: () => area.value };
  }
  const input = h("input", { type: "text", value: start ?? "", maxlength: schema.maxLength, oninput: onchange });
  return { ...wrap(label, input, schema), value: () => (input.value === "" && schema.nullable ? null : input.value) };
}

// A value that may be a word or a number ("auto" or 4096), or a word or a list of words.
function mixed(schema, start, label, onchange) {
  const list = schema.anyOf.some((option) => option.type === "array");
  const input = h("input", { type: "text", value: Array.isArray(start) ? start.join(", ") : start ?? "", oninput: onchange });
  const read = () => {
    const typed = input.value.trim();
    if (typed === "") return schema.anyOf.some((option) => option.type === "null") ? null : undefined;
    if (list && typed.includes(",")) return split(typed);
    return Number.isNaN(Number(typed)) ? typed : Number(typed);
  };
  return { ...wrap(label, input, schema), value: read };
}

const split = (typed) => typed.split(",").map((one) => one.trim()).filter(Boolean);

function words(schema, start, label, onchange) {
  const input = h("input", { type: "text", value: (start || []).join(", "), placeholder: "separated by commas", oninput: onchange });
  const numbers = schema.items && ["number", "integer"].includes(schema.items.type);
  const set = (value) => { input.value = (value || []).join(", "); onchange(); };
  return { ...wrap(label, input, schema), set, value: () => (numbers ? split(input.value).map(Number) : split(input.value)) };
}

function group(schema, defs, start, label, onchange) {
  const inner = objectForm(schema, defs, start || {}, [], onchange);
  const element = h("fieldset.pl-fieldset", h("legend", label), schema.description && h("small.pl-help", schema.description), inner.element);
  return { element, value: inner.value, fail: inner.fail };
}

// One part of a catalogue: its name, and the fields that it has.
function partOf(schema, defs, start, label, onchange) {
  const known = (defs[PARTS][schema["x-part"]] || []).filter((one) => schema.properties.name.enum.includes(one.name));
  const place = h("div");
  let inner = null;
  const select = h("select", known.map((one) => h("option", { value: one.name, selected: one.name === start?.name }, one.title)));
  const made = wrap(label, select, schema);
  const show = (values) => {
    inner = objectForm(known.find((one) => one.name === select.value)?.schema || {}, defs, values, ["name"], onchange);
    fill(place, inner.element);
  };
  select.addEventListener("change", () => { show({}); onchange(); });
  show(start || {});
  const fail = (rest, why) => {
    if (!rest && !why) inner.clear();
    return (rest && inner.fail(rest, why)) || made.fail("", why);
  };
  return { element: h("div.pl-stack.tight", made.element, place), value: () => ({ ...inner.value(), name: select.value }), fail, clear: () => fail("", "") };
}

// Several objects of one kind, each of which can be taken out, and a button that adds one more.
function list(schema, defs, start, label, onchange) {
  const item = resolve(schema.items, defs);
  const place = h("div.pl-stack.tight");
  const failure = h("small.pl-field-error", { role: "alert" });
  let rows = [];
  const more = h("button.pl-button", { type: "button", onclick: () => { add({}); onchange(); } }, "Add one");
  const add = (values) => {
    const inner = item["x-part"] ? partOf(item, defs, values, humane(item["x-part"]), onchange) : objectForm(item, defs, values, [], onchange);
    const legend = h("legend");
    const less = h("button.pl-button.small", { type: "button", onclick: () => { rows = rows.filter((one) => one !== row); row.element.remove(); count(); onchange(); } }, "Remove");
    const row = { inner, less, legend, element: h("fieldset.pl-fieldset", legend, h("div.pl-stack.tight", inner.element, h("div", less))) };
    rows.push(row);
    place.append(row.element);
    count();
  };
  const count = () => {
    more.disabled = schema.maxItems !== undefined && rows.length >= schema.maxItems;
    rows.forEach((row, place) => {
      row.less.disabled = rows.length <= (schema.minItems ?? 0);
      row.legend.textContent = item["x-part"] ? `${label.replace(/s$/, "")} ${place + 1}` : humane(item.title || label);
    });
  };
  for (const values of start || []) add(values);
  count();
  const element = h("div.pl-field", h("span.pl-label", label), schema.description && h("small.pl-help", schema.description), place, h("div", more), failure);
  const fail = (rest, why) => {
    if (!rest && !why) rows.forEach((row) => row.inner.clear());
    const [at, ...deeper] = String(rest).split(".");
    if (rows[at]?.inner.fail(deeper.join("."), why)) return true;
    failure.textContent = why;
    return true;
  };
  return { element, value: () => rows.map((row) => row.inner.value()), fail };
}

function choiceOfForms(_name, schema, defs, start, label, onchange) {
  const key = schema.discriminator?.propertyName;
  const options = (schema.oneOf || schema.anyOf.filter((option) => option.$ref)).map((option) => resolve(option, defs));
  const nameOf = (option) => option.properties?.[key]?.const ?? option.title ?? "";
  const place = h("div");
  let inner = null;
  const select = h("select", options.map((option) => h("option", { value: nameOf(option), selected: Boolean(start) && start[key] === nameOf(option) }, option.called ?? humane(nameOf(option)))));
  const made = wrap(label, select, schema);
  const show = (values) => {
    inner = objectForm(options.find((option) => nameOf(option) === select.value) || options[0], defs, values, [], onchange);
    fill(place, inner.element);
  };
  select.addEventListener("change", () => { show({}); onchange(); });
  show(start || {});
  const element = h("div.pl-stack.tight", made.element, place);
  return { element, value: () => inner.value(), fail: (rest, why) => (rest && inner.fail(rest, why)) || made.fail("", why) };
}
