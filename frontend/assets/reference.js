// The API's reference, drawn from /api/v1/openapi.json: operations by noun, each with its fields and an example.

import { get } from "./api.js";
import { button, copy, empty, fill, h, link } from "./dom.js";
import { actions, param, setParam } from "./frame.js";
import { load } from "./live.js";
import { typeOf, words } from "./reference-words.js";

const JSON_TYPE = "application/json";

export async function mount(element) {
  const page = h("div.pl-page.pl-stack");
  element.append(page);
  await load(page, () => get("/openapi.json"), (api) => {
    const operations = every(api);
    const found = h("div.pl-stack");
    const show = (text) => {
      setParam("q", text);
      const wanted = text.toLowerCase().split(/\s+/);
      draw(found, operations.filter((one) => wanted.every((word) => one.text.includes(word))), api);
    };
    const search = h("input.pl-input.pl-search", { type: "search", placeholder: "Search operations", "aria-label": "Search operations", value: param("q") || "", oninput: () => show(search.value) });
    actions(search);
    page.append(introduction(api), found);
    show(search.value);
    openNamed(found);
    addEventListener("hashchange", () => openNamed(found));
  });
}

// Every operation with what is searched in it.
function every(api) {
  const found = [];
  for (const [path, methods] of Object.entries(api.paths)) {
    for (const [method, operation] of Object.entries(methods)) {
      const name = `${method.toUpperCase()} ${path}`;
      found.push({ method: method.toUpperCase(), path, name, tag: operation.tags[0], operation, text: `${name} ${operation.operationId} ${operation.summary} ${operation.description} ${operation.tags[0]}`.toLowerCase() });
    }
  }
  return found;
}

const introduction = (api) => h("section.pl-card.pl-stack.tight", api.info.description.split("\n\n").map((text) => h("p", words(text))),
  h("p", "In Python the same is ", h("code", "plumbline.Client"), ". Here is the whole description as a ", link("file of OpenAPI", "/api/v1/openapi.json"), "."));

function draw(place, operations, api) {
  if (!operations.length) return fill(place, empty("No operation fits", "Try fewer words."));
  const tags = new Map();
  for (const one of operations) tags.set(one.tag, [...(tags.get(one.tag) || []), one]);
  return fill(place, [...tags].sort(([a], [b]) => a.localeCompare(b)).map(([tag, members]) => h("section.pl-stack.tight", h("h2", tag[0].toUpperCase() + tag.slice(1)), members.map((one) => row(one, api)))));
}

// An operation as a line; what it holds is drawn when it is opened.
function row(one, api) {
  const inside = h("div.pl-stack.pl-operation-inside");
  const details = h("details.pl-card.pl-operation", { id: anchor(one.name) },
    h("summary", h("span.pl-badge.pl-method", { class: one.method.toLowerCase() }, one.method), h("code", one.path.replace(/^\/api\/v1/, "")), h("span.pl-muted", one.operation.summary)), inside);
  details.addEventListener("toggle", () => details.open && !inside.childElementCount && fill(inside, body(one, api)));
  return details;
}

const anchor = (name) => name.toLowerCase().replace(/[^a-z0-9]+/g, "-");

function openNamed(place) {
  const named = location.hash && place.querySelector(`details[id="${CSS.escape(location.hash.slice(1))}"]`);
  if (!named) return;
  named.open = true;
  named.scrollIntoView();
}

function body({ method, path, name, operation }, api) {
  const sent = operation.requestBody?.content?.[JSON_TYPE];
  return [
    h("p", words(operation.description), " ", link("Link", `#${anchor(name)}`, "pl-muted")),
    operation.parameters?.length ? fields("Parameters", operation.parameters.map((one) => ({ name: one.name, where: one.in, schema: one.schema, needed: one.required, text: one.description || one.schema.description })), api) : null,
    sent ? models(sent.schema, api).map((model) => fields("Body", ofModel(model), api)) : null,
    code("Request", request(method, path, operation, sent)),
    Object.entries(operation.responses).map(([status, answer]) => response(status, answer, api)),
  ];
}

const ofModel = (model) => Object.entries(model.properties || {}).map(([name, part]) => ({ name, schema: part, needed: model.required?.includes(name), text: part.description }));

// The models that a type speaks of: itself, one of several, or what a list holds.
function models(schema, api) {
  if (schema.$ref) return [api.components.schemas[schema.$ref.split("/").pop()]].filter((one) => one.properties);
  return [...(schema.anyOf || schema.oneOf || []), ...(schema.items ? [schema.items] : [])].flatMap((one) => models(one, api));
}

const fields = (title, rows, api) => rows.length ? h("div", h("h3", title), list(rows, api)) : null;
const list = (rows, api) => h("dl.pl-fields", rows.map((one) => field(one, api)));

// A field: its name and type, what it is, and the fields of its model when that is opened.
function field({ name, where, schema, needed, text }, api) {
  const value = schema.default;
  const told = value !== undefined && value !== null && typeof value !== "object" ? ` Unless given: ${JSON.stringify(value)}.` : "";
  return [
    h("dt", h("code", name), needed ? h("span.pl-needed", { title: "Must be given" }, " *") : null, h("span.pl-muted", ` ${typeOf(schema, api)}${where ? `, in the ${where}` : ""}`)),
    h("dd", words(text || ""), h("span.pl-muted", told), models(schema, api).map((model) => inner(model, api))),
  ];
}

function inner(model, api) {
  const place = h("div");
  const details = h("details.pl-model", h("summary", model.title), model.description ? h("p", words(model.description)) : null, place);
  details.addEventListener("toggle", () => details.open && !place.childElementCount && fill(place, list(ofModel(model), api)));
  return details;
}

const code = (title, text) => h("div", h("div.pl-row.between", h("h3", title), button("Copy", () => copy(text), { kind: "small quiet", title: `Copy: ${title}` })), h("pre.pl-example", { tabindex: 0 }, text));

function request(method, path, operation, sent) {
  const filled = (operation.parameters || []).filter((one) => one.in === "path").reduce((text, one) => text.replace(`{${one.name}}`, one.example), path);
  const query = (operation.parameters || []).filter((one) => one.in === "query" && one.required).map((one) => `${one.name}=…`).join("&");
  const lines = [`curl${method === "GET" ? "" : ` -X ${method}`} "$PLUMBLINE_URL${filled}${query && `?${query}`}"`, `  -H "Authorization: Bearer $PLUMBLINE_TOKEN"`];
  if (sent) lines.push(`  -H "Content-Type: application/json" -d '${JSON.stringify(sent.example, null, 2).replaceAll("'", "'\\''")}'`);
  else if (path.endsWith("/uploads")) lines.push("  --data-binary @pairs.jsonl");
  return lines.join(" \\\n");
}

function response(status, answer, api) {
  const [media, content] = Object.entries(answer.content || {})[0] || [];
  const title = `${status} ${answer.description === "Successful Response" ? "" : answer.description}`.trim();
  if (!content) return h("h3", title);
  if (content.example === undefined) return h("div", h("h3", title), h("p.pl-muted", `A file: ${Object.keys(answer.content).join(", ")}`));
  return h("details", { open: status.startsWith("2") }, h("summary", h("strong", title), " ", h("span.pl-muted", media === JSON_TYPE ? typeOf(content.schema || {}, api) : media)), code("Answer", JSON.stringify(content.example, null, 2)));
}
