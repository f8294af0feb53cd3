// Which matches are meant: the bar of the list and the grid; kept in the address, and taken along to a match's page.

import { search } from "./api.js";
import { button, h } from "./dom.js";
import { param, setParam } from "./frame.js";
import { judgeName } from "./judge-name.js";

const NAMES = ["contestant", "against", "outcome", "judge", "category", "min_ratio", "min_words", "in_training", "text"];
const OUTCOMES = [
  ["", "Every outcome"],
  ["won", "Won"],
  ["lost", "Lost"],
  ["tie", "Tie"],
  ["contradicted", "Changed with the side order"],
  ["differs", "People said otherwise"],
  ["undecided", "Undecided"],
  ["unreadable", "Reply without a verdict"],
  ["failed", "Without an answer"],
];
const RATIOS = [["", "Any lengths"], ["1.5", "One 1.5× as long"], ["2", "One 2× as long"], ["3", "One 3× as long"], ["5", "One 5× as long"]];
const WORDS = [["", "Any difference"], ["20", "20 words apart"], ["50", "50 words apart"], ["100", "100 words apart"], ["200", "200 words apart"]];
const SEEN = [["", "Any prompt"], ["true", "Prompts seen in training"], ["false", "Prompts not seen in training"]];
const WAIT = 350; // milliseconds after a key, before what was typed is looked for

// What the address says now: {contestant, …}; what it does not name is left out.
export const filterNow = () => Object.fromEntries(NAMES.map((name) => [name, param(name)]).filter(([, value]) => value));

// "&outcome=lost…", to put behind an address.
export const filterTail = (filter = filterNow()) => search(filter).replace("?", "&");

// const bar = matchFilter(evaluation, onchange); bar.element, bar.categories([…]) once they are known
export function matchFilter(evaluation, onchange) {
  const everybody = evaluation.contestants.map((one) => [one.id, one.name]);
  const judges = [...new Set([evaluation.judge.name, "people"])].map((one) => [one, judgeName(one, evaluation)]);
  const category = select("Category", "category", [["", "Every category"], ...(param("category") ? [[param("category"), param("category")]] : [])]);
  const typed = h("input.pl-input.pl-filter-text", { type: "search", maxlength: 200, value: param("text") || "", placeholder: "Find in prompts and answers", "aria-label": "Find in prompts and answers" });
  let timer = null;
  typed.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(() => change("text", typed.value.trim()), WAIT);
  });
  const parts = [
    select("Contestant", "contestant", [["", "Every contestant"], ...everybody]),
    everybody.length > 2 ? select("Against", "against", [["", "against anyone"], ...everybody.map(([id, name]) => [id, `against ${name}`])]) : null,
    select("Outcome", "outcome", OUTCOMES),
    select("Judge", "judge", [["", "Every judge"], ...judges]),
    select("Ratio of the lengths", "min_ratio", withOwn(RATIOS, "min_ratio", (value) => `One ${value}× as long`)),
    select("Difference in words", "min_words", withOwn(WORDS, "min_words", (value) => `${value} words apart`)),
    select("Seen in training", "in_training", SEEN),
    category,
    typed,
  ];
  const all = button("Clear", () => {
    NAMES.forEach((name) => setParam(name, null));
    for (const one of parts) if (one) one.value = "";
    told();
  }, { kind: "small quiet" });
  category.hidden = !param("category");
  all.hidden = !Object.keys(filterNow()).length;

  function select(label, name, options) {
    const known = param(name) || "";
    const made = h("select.pl-input.pl-eval-filter", { "aria-label": label }, options.map(([value, words]) => h("option", { value, selected: value === known }, words)));
    made.addEventListener("change", () => change(name, made.value));
    return made;
  }

  function change(name, value) {
    setParam(name, value);
    told();
  }

  function told() {
    all.hidden = !Object.keys(filterNow()).length;
    onchange();
  }

  function categories(found) {
    const known = param("category");
    const options = [...new Set([...found, ...(known ? [known] : [])])];
    category.replaceChildren(...[["", "Every category"], ...options.map((one) => [one, one])].map(([value, words]) => h("option", { value, selected: value === (known || "") }, words)));
    category.hidden = !options.length;
  }

  // On a phone the bar folds away until it is wanted.
  const open = !matchMedia("(max-width: 760px)").matches || Object.keys(filterNow()).length > 0;
  const element = h("details.pl-filter-fold", { open }, h("summary", "Filter"), h("div.pl-row.pl-filter", { role: "search", "aria-label": "Which matches" }, parts, all));
  return { element, categories };
}

// An address may hold a number that is not among the choices.
const withOwn = (options, name, words) => {
  const own = param(name);
  return own && !options.some(([value]) => value === own) ? [...options, [own, words(own)]] : options;
};
