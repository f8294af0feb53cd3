// The form of a labelling task, to make one or to change one: what is asked, the guidelines, how much, by whom.

import { badge, field, h, link, showError } from "./dom.js";
import { count } from "./format.js";
import { aspects } from "./task-aspects.js";
import { guidelines } from "./task-guidelines.js";
import { asks, KINDS, KINDS_OF, ORDERS, RATIONALES, SCALES } from "./task-words.js";

const USUAL = { name: "", overlap: 1, gold_share: 0, order: "random", deadline: null, people: [], guidelines: "", question: null };
const GOLD = [0, 0.05, 0.1, 0.2, 0.3];

// const form = taskForm({ dataset, members, golds, task }, onchange); form.element, form.value(), form.fail(path, why)
export function taskForm({ dataset, members, golds, task = null }, onchange) {
  const start = task || { ...USUAL, name: dataset.name };
  const changed = () => { form.clear(); onchange(); };
  const name = field("Name", h("input", { maxlength: 200, value: start.name, oninput: changed, autocomplete: "off" }));
  const question = task ? asked(task) : questionPart(dataset, changed);
  const text = guidelines(start.guidelines, changed);
  const amount = amountPart(start, golds, dataset, task !== null, changed);
  const people = peoplePart(members, (start.people || []).map((one) => one.id), changed);
  const failure = h("small.pl-field-error", { role: "alert" });
  const parts = { name, ...amount.fields };
  const form = {
    element: h("div.pl-stack",
      h("section.pl-card.pl-stack", h("h2", "What is asked"), name, question.element),
      h("section.pl-card.pl-stack.tight", h("h2", "Guidelines"), text.element),
      h("section.pl-card.pl-stack", h("h2", "How much, in which order"), amount.element),
      h("section.pl-card.pl-stack.tight", h("h2", "Who may label"), people.element, failure)),
    value: () => ({ name: input(name), ...question.value(), guidelines: text.value(), ...amount.value(), people: people.value() }),
    // `path` is the API's field path; true if it is shown here.
    fail(path, why) {
      const [first, ...rest] = String(path || "").split(".");
      if (first === "question" && question.fail(rest, why)) return true;
      if (first === "people") { failure.textContent = why; return true; }
      if (!parts[first]) return false;
      showError(parts[first], why);
      return true;
    },
    clear() {
      Object.values(parts).forEach((one) => showError(one, ""));
      question.fail(["aspects"], "");
      failure.textContent = "";
    },
    labellers: () => people.count(),
  };
  return form;
}

const input = (one) => one.querySelector("input, select").value.trim();

// One of a few, each with a word on what it means: choices {value: [title, words]}.
function choices(legend, options, chosen, onchange) {
  const group = `pl-choice-${(choices.count = (choices.count || 0) + 1)}`;
  const boxes = Object.entries(options).map(([value, [title, words]]) => {
    const box = h("input", { type: "radio", name: group, value, checked: value === chosen, onchange });
    return { box, element: h("label.pl-option", box, h("span", h("b", title), h("small.pl-muted", words))) };
  });
  return {
    element: h("fieldset.pl-options", h("legend.pl-label", legend), boxes.map((one) => one.element)),
    value: () => boxes.find((one) => one.box.checked)?.box.value ?? null,
  };
}

function check(words, help, on, onchange) {
  const box = h("input", { type: "checkbox", checked: on, onchange });
  return { box, element: h("div.pl-field", h("label.pl-check", box, h("span", words)), h("small.pl-help", help)) };
}

// Labels answer the question that was asked: a task keeps it for life.
const asked = (task) => ({
  element: h("p", asks(task.question), h("span.pl-muted", ". The question stays: another question is another task.")),
  value: () => ({}),
  fail: () => false,
});

function questionPart(dataset, onchange) {
  const start = { kind: KINDS_OF[dataset.kind][0], scale: "strength", both_bad: true, rationale: "optional", edits: false };
  const kinds = Object.fromEntries(KINDS_OF[dataset.kind].map((kind) => [kind, KINDS[kind]]));
  const kind = choices("Question", kinds, start.kind, () => { adapt(); onchange(); });
  const scale = choices("Scale", SCALES, start.scale, onchange);
  const bad = check("“Both bad” may be said", "For pairs of which neither should be learned from.", start.both_bad, onchange);
  const rated = aspects([], onchange);
  const rationale = field("Reasons", h("select", { onchange }, Object.entries(RATIONALES).map(([value, words]) => h("option", { value, selected: value === start.rationale }, words))));
  const edits = check("Responses may be edited", "An edited response becomes a pair of its own: the edit is better than what was edited.", start.edits, onchange);
  const pairs = h("div.pl-stack", scale.element, bad.element);
  const adapt = () => {
    pairs.hidden = kind.value() !== "pair";
    edits.element.hidden = kind.value() === "thumb"; // there is nothing to set an edit beside
  };
  adapt();
  return {
    element: h("div.pl-stack", kind.element, pairs, rated.element, rationale, edits.element),
    value: () => ({ question: { kind: kind.value(), scale: scale.value(), both_bad: bad.box.checked, aspects: rated.value(), rationale: input(rationale), edits: edits.box.checked && kind.value() !== "thumb" } }),
    fail(rest, why) {
      if (rest[0] === "aspects") return rated.fail(rest.slice(1).join("."), why);
      if (rest[0] !== "rationale") return false;
      showError(rationale, why);
      return true;
    },
  };
}

function amountPart(start, golds, dataset, kept, onchange) {
  const number = h("input", { type: "number", min: 1, max: 20, step: 1, value: start.overlap, oninput: onchange });
  const overlap = field("Labels an item", number, { help: "1 is cheapest. 2 or more measure agreement; 3 settle most disagreements by majority." });
  const shares = [...new Set([...GOLD, start.gold_share])].sort((one, other) => one - other);
  const help = golds ? `${count(golds)} ${golds === 1 ? "item has" : "items have"} a known answer here.` : ["Items with a known answer, mixed in unseen, to see how people do. This dataset has none yet: make some from its ", link("items", `/dataset?id=${dataset.id}`), "."];
  const gold = field("Gold items", h("select", { onchange }, shares.map((share) => h("option", { value: share, selected: share === start.gold_share }, share ? `${Math.round(share * 100)} % of the cards` : "None mixed in"))));
  gold.append(h("small.pl-help", help));
  const order = choices("Order", ORDERS, start.order, onchange);
  const deadline = field("Deadline", h("input", { type: "datetime-local", value: start.deadline ? local(start.deadline) : "", onchange }), { help: "None if empty. After it nothing more is handed out; what is open may still be answered." });
  const grouped = check("Equal prompts one after the other", "Who has read a prompt judges all that hangs on it: quicker, where prompts come several times.", false, onchange);
  const suggested = check("Show suggestions", "What a model suggests stands on the cards, marked so; labels made beside one say it for ever. It sways people: leave it off to measure agreement. Who suggests is chosen under “Edit”, once the task is made.", false, onchange);
  const adapt = () => { grouped.element.hidden = order.value() === "uncertainty"; };
  order.element.addEventListener("change", adapt);
  const assistance = () => {
    const chosen = { group_prompts: grouped.box.checked && order.value() !== "uncertainty", suggest: suggested.box.checked };
    return chosen.group_prompts || chosen.suggest ? chosen : null;
  };
  const arranged = () => ({ order: order.value(), assistance: assistance() });
  return {
    fields: { overlap, gold_share: gold, deadline },
    element: h("div.pl-stack", h("div.pl-form", overlap, gold, deadline), kept ? null : [order.element, grouped.element, suggested.element]),
    value: () => ({ overlap: Number(number.value), gold_share: Number(input(gold)), ...(kept ? {} : arranged()), deadline: moment(input(deadline)) }),
  };
}

const moment = (typed) => (typed ? new Date(typed).toISOString() : null);
const local = (iso) => { const at = new Date(iso); return new Date(at.getTime() - at.getTimezoneOffset() * 60_000).toISOString().slice(0, 16); };

function peoplePart(members, chosen, onchange) {
  const able = members.filter((one) => one.active);
  const some = chosen.length > 0;
  const who = choices("People", { all: ["Every member of the project", `${count(able.length)} now, and whoever joins.`], some: ["Only these", "Others do not see the task."] }, some ? "some" : "all", () => { adapt(); onchange(); });
  const boxes = able.map((one) => {
    const box = h("input", { type: "checkbox", value: one.user_id, checked: chosen.includes(one.user_id), onchange });
    return { box, element: h("label.pl-check", box, h("span", one.name), badge(one.role)) };
  });
  const list = h("div.pl-people", { role: "group", "aria-label": "People who may label" }, boxes.map((one) => one.element));
  const adapt = () => { list.hidden = who.value() === "all"; };
  adapt();
  const picked = () => boxes.filter((one) => one.box.checked).map((one) => one.box.value);
  return {
    element: h("div.pl-stack.tight", who.element, list),
    value: () => (who.value() === "all" ? [] : picked()),
    count: () => (who.value() === "all" ? able.length : picked().length),
  };
}
