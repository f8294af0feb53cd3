// The theory card of an objective: formula, paper, what it fixes and costs, needs, hyperparameters, curve, relatives.

import { badge, button, copy, h } from "./dom.js";
import { schemaForm } from "./form.js";
import { formula } from "./formula.js";
import { curve } from "./objective-curve.js";

const FIDELITY = {
  authors_code: ["as the authors' code", "good", "The loss equals what the authors' own code, or the trainer they gave it to, computes; golden values hold it."],
  paper: ["as the paper", "", "Written from the paper's equations: no code of the authors was there to compare."],
  reconstruction: ["reconstruction", "warn", "The paper leaves something open, and no code closes it: this is our reading. Values that agree prove that it is consistent, not that it is what the authors ran."],
};

const LOGIC = { title: "Understanding the Logic of Direct Preference Alignment through Logic", authors: "Richardson et al.", year: 2024, arxiv: "2412.17696", equation: "" };

export function fidelity(objective) {
  const [text, kind, why] = FIDELITY[objective.fidelity];
  const note = badge(text, kind);
  note.title = why;
  return note;
}

export function paper({ authors, year, arxiv, url, equation, title }, whole = false) {
  const address = url || (arxiv ? `https://arxiv.org/abs/${arxiv}` : null);
  const place = /^[\d(]/.test(equation) ? `eq. ${equation}` : equation;
  const text = `${whole ? `${title}. ` : ""}${authors} ${year}${place ? `, ${place}` : ""}`;
  return address ? h("a", { href: address, target: "_blank", rel: "noopener noreferrer", title }, text) : h("span.pl-muted", { title }, text);
}

export const needs = (objective) =>
  h("div.pl-row.pl-needs", objective.needs_words.map(({ words, why }) => {
    const note = badge(words);
    note.title = why;
    return note;
  }));

// What a formula says of its signs comes after it: on a line of its own where there is no room beside it.
export const drawnFormula = (objective) =>
  h("div.pl-formula", { tabindex: 0, role: "group", "aria-label": `Formula of ${objective.title}` }, h("div.pl-formula-parts", clauses(objective.formula).map(formula)));

// A formula cut at its commas with a wide space, but not within braces or brackets.
function clauses(source) {
  const depth = (text) => (text.match(/[{([]|\\left/g) || []).length - (text.match(/[})\]]|\\right/g) || []).length;
  return source.split(/(?<=,)\s*\\q?quad\s*/).reduce((parts, text) => {
    const last = parts.at(-1);
    return last !== undefined && depth(last) !== 0 ? [...parts.slice(0, -1), `${last}\\quad ${text}`] : [...parts, text];
  }, []);
}

// The hyperparameters as a form, with sliders over what is usual and with what the paper used. `known` has every
// objective by name: one that is made of others lets each be chosen, with its own hyperparameters.
export function hyperparameters(objective, { known, values = {}, onchange }) {
  return schemaForm(usual(objective), { values, skip: ["name"], onchange, parts: { objective: [...known.values()] } });
}

function usual({ schema, ranges }) {
  const properties = Object.entries(schema.properties || {}).map(([name, property]) => {
    const range = ranges[name];
    const slide = ["number", "integer"].includes(property.type) ? slideOf(property, range) : null;
    return [name, { ...property, ...(slide && { slide }), ...(range && { published: `Paper: ${published(range)}.` }) }];
  });
  return { ...schema, properties: Object.fromEntries(properties) };
}

const published = ({ low, high, words }) => [low === high ? low : `${low} to ${high}`, words && `(${words})`].filter((one) => one !== "").join(" ");

// From well below what is usual to well above it, within the bounds; over powers of ten where that is far.
function slideOf(property, range) {
  const least = property.minimum ?? property.exclusiveMinimum ?? -Infinity;
  const most = property.maximum ?? property.exclusiveMaximum ?? Infinity;
  if (most - least <= 2 && property.default === undefined) return null;
  const start = property.default ?? range?.low ?? 1;
  let low = Math.min(range ? range.low / 2 : start / 10, start / 2);
  let high = Math.max(range ? range.high * 2 : start * 10, start * 2, 1e-9);
  if (most - least <= 2) [low, high] = [Math.max(least, 0), most];
  if (start === 0 && !range) [low, high] = [least >= 0 ? 0 : -1, 1];
  [low, high] = [Math.max(low, least), Math.min(high, most)];
  const log = low > 0 && high / low >= 20;
  const step = property.type === "integer" ? 1 : 10 ** Math.floor(Math.log10((high - low) / 50));
  if (!log && property.exclusiveMaximum === high) high -= step;
  if (!log && property.exclusiveMinimum === low) low += step;
  return { low, high, log, step };
}

// A part of the card with a heading.
const part = (heading, ...children) => h("section.pl-stack.tight", h("h3", heading), ...children);

// theory(objective, { known, form, onshow, drawn }): all but the hyperparameters, which `form` holds already.
// `known` has every objective by name; onshow(name) opens a relative; only what is `drawn`, as all of the catalogue is, has a curve and links to others. Returns { element, draw() }; draw() follows the form.
export function theory(objective, { known, form, onshow, drawn = true }) {
  const plot = drawn ? curve(objective, form) : null;
  // Docstrings are broken at the width of the code; only blank lines are meant.
  const description = String(objective.schema.description || objective.summary).replace(/([^\n])\n(?!\n)/g, "$1 ");
  const [, , faith] = FIDELITY[objective.fidelity];
  const element = h("div.pl-stack.pl-theory",
    h("p.pl-prose.pl-plain", description),
    objective.fixes && h("div.pl-theory-sides", part("What it fixes", h("p", objective.fixes)), part("What it costs", h("p", objective.costs))),
    plot && part("Loss and gradient", plot.element),
    part("What it needs", h("ul.pl-theory-list", objective.needs_words.map(({ words, why }) => h("li", h("b", words), " · ", why)))),
    objective.relatives.length ? part("Relatives", h("ul.pl-theory-list", objective.relatives.map((one) => relative(one, { known, form, onshow, linked: drawn })))) : null,
    objective.logic ? part("As a statement of logic", h("div.pl-formula", { tabindex: 0, role: "group", "aria-label": "Symbolic form" }, formula(objective.logic)),
      h("p.pl-muted", "M(y): the model holds y valid; Ref(y): the reference does. The loss compares how much weight their probabilities give to the statement's truth and to its failure. Written as ", paper(LOGIC), " do, and counted here from the formula.")) : null,
    part("Where it comes from", h("p", paper(objective.paper, true)), h("p", fidelity(objective), " ", h("span.pl-muted", faith)),
      h("div.pl-row", button("Copy the formula as LaTeX", () => copy(objective.formula), { kind: "small" }))),
  );
  return { element, draw: () => plot?.draw() };
}

function relative({ name, words, at }, { known, form, onshow, linked }) {
  const other = known.get(name);
  const values = Object.entries(at || {});
  const set = values.length ? button(`Set ${values.map(([field, value]) => `${field} = ${value}`).join(", ")}`, () => values.forEach(([field, value]) => form.set(field, value)), { kind: "small" }) : null;
  const follow = (event) => {
    if (!onshow) return;
    event.preventDefault();
    onshow(name);
  };
  const door = other && !linked ? h("b", other.title) : other && h("a", { href: `/objectives?name=${encodeURIComponent(name)}`, target: onshow ? null : "_blank", onclick: follow }, other.title);
  return h("li.pl-row", door, h("span", words), set);
}
