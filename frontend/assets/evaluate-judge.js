// The judge of a new evaluation: which kind, its settings, and the checkpoints that it asks, offered by what they are.

import { field, fill, h, showError } from "./dom.js";
import { schemaForm } from "./form.js";

// `judges` as GET /judges gives them, `models` every checkpoint of the project, newest first.
export function judgePart({ judges, models, onchange }) {
  const known = judges.map((one) => ({ ...one, schema: offered(one.schema, models) }));
  const start = known.find((one) => one.decided_by === "people") || known[0];
  const name = h("select", known.map((one) => h("option", { value: one.name, selected: one === start }, one.title)));
  const nameField = field("Judge", name);
  const about = h("p.pl-muted");
  const place = h("div.pl-stack.tight");
  let settings = null;
  const show = () => {
    const part = known.find((one) => one.name === name.value);
    about.textContent = part.summary;
    const members = known.filter((one) => one.decided_by !== "people" && one.name !== "panel");
    settings = schemaForm(part.schema, { onchange, parts: { judge: members }, values: part.name === "panel" ? { members: suggested(members, models) } : {} });
    fill(place, missing(part.schema, models), settings.element);
  };
  name.addEventListener("change", () => { show(); onchange(); });
  show();
  return {
    element: h("section.pl-card.pl-stack.tight", h("h2", "Judge"), nameField, about, place),
    field: nameField,
    value: () => ({ ...settings.value(), name: name.value }),
    clear: () => { showError(nameField, ""); settings.clear(); },
    // `path` is the API's, without "judge.".
    fail: (path, words) => (path !== "name" && settings.fail(path, words)) || (showError(nameField, words), true),
  };
}

const KINDS = {
  model: { fits: (one) => one.kind === "language_model" && one.source !== "outputs", lacking: "No model could judge: register an endpoint, or a language model." },
  language_model: { fits: (one) => one.kind === "language_model" && !one.endpoint && one.source !== "outputs", lacking: "There is no language model with weights here." },
  reward_model: { fits: (one) => one.kind === "reward_model", lacking: "There is no reward model yet: train one on pairs, or register a folder." },
};

const usable = (one) => one.available !== false && one.chat_template !== "missing";

// A field that wants a checkpoint (`choose` says of which kind) offers those there are, one or several.
function offered(schema, models) {
  const given = {}; // of each kind, how many fields have one beforehand: two fields begin with two checkpoints
  const offer = (property) => {
    const kind = KINDS[property.choose];
    if (!kind) return property;
    const found = models.filter((one) => kind.fits(one) && usable(one)).sort((one, other) => Boolean(other.endpoint) - Boolean(one.endpoint));
    const choice = { enum: found.map((one) => one.id), labels: Object.fromEntries(found.map((one) => [one.id, one.endpoint ? `${one.name} (endpoint)` : one.name])) };
    if (property.type === "array") return { ...property, items: { ...property.items, ...choice } };
    const { anyOf, ...rest } = property;
    const nullable = Boolean(anyOf?.some((one) => one.type === "null"));
    if (nullable) return { ...rest, ...choice, type: "string", nullable };
    given[property.choose] = (given[property.choose] ?? -1) + 1;
    return { ...rest, ...choice, type: "string", default: (found[given[property.choose]] || found[0])?.id };
  };
  return { ...schema, properties: Object.fromEntries(Object.entries(schema.properties).map(([name, property]) => [name, offer(property)])) };
}

// What a panel begins with: two of these kinds, first those that could decide here; `missing` says what another lacks.
const MEMBERS = ["llm", "reward_model", "rules"];
function suggested(judges, models) {
  const known = MEMBERS.map((name) => judges.find((one) => one.name === name)).filter(Boolean);
  const able = known.filter((one) => !missing(one.schema, models).length);
  return [...new Set([...able, ...known])].slice(0, 2).map(({ name }) => ({ name }));
}

// Said where a judge needs a kind of checkpoint of which there is none.
function missing(schema, models) {
  const wanted = [...new Set(Object.values(schema.properties).map((property) => property.choose).filter((kind) => KINDS[kind]))];
  const lacking = wanted.filter((kind) => !models.some((one) => KINDS[kind].fits(one) && usable(one)));
  return lacking.map((kind) => h("div.pl-card.warn.pl-note", KINDS[kind].lacking, " ", h("a", { href: kind === "reward_model" ? "/new-run?kind=reward_model" : "/checkpoints?register" }, kind === "reward_model" ? "Train a reward model" : "Register a model that judges"), "."));
}
