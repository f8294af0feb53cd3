// How labels become examples: the choices of a policy, and how many examples each would give.

import { all, post } from "./api.js";
import { errorCard, field, fill, h, skeleton, table } from "./dom.js";
import { count, plural } from "./format.js";

const SOURCES = [["people_first", "People's, then imported, then judges'"], ["people", "People's alone"], ["adjudicated", "Adjudicated alone"], ["imports", "Imported alone"], ["judges", "Judges' alone"]];
const numbers = (all, words) => all.map((one) => [String(one), words(one)]);
const YES_NO = (yes, no) => [["true", yes], ["false", no]];
const NO_YES = (no, yes) => [["false", no], ["true", yes]];
// name: [label, options with the usual one first, what it is about]
const CHOICES = {
  sources: ["Whose labels decide", SOURCES, "any"],
  min_votes: ["Votes", numbers([1, 2, 3, 5], (one) => (one === 1 ? "One is enough" : `At least ${one}`)), "any"],
  min_margin: ["Margin", numbers([0, 0.5, 1, 1.5, 2], (one) => (one ? `A mean strength of ${one} or more` : "Any lead")), "pair"],
  unit: ["An example is", [["pair", "a pair, as most have it"], ["label", "each label by itself"]], "paired"],
  ties: ["Ties", [["leave_out", "Left out"], ["half", "Kept with a soft label of 0.5"]], "paired"],
  soft: ["Soft labels", NO_YES("Where several voted", "On every pair: the share of votes"), "paired"],
  both_bad: ["Both bad", [["leave_out", "Left out"], ["unwanted", "Two unwanted answers"]], "unpaired"],
  reasons: ["Reasons of annotators", NO_YES("Left out", "Kept as rationales"), "paired"],
  aspects: ["Ratings by aspect", NO_YES("Left out", "Kept as means"), "any"],
  surplus: ["Surplus labels", YES_NO("Count too", "Left out"), "always"],
  annotators: ["Who judged", YES_NO("Said where it can be", "Left out"), "always"],
};

// The tasks whose labels one may choose among; none where there are fewer than two.
export async function choosable(dataset) {
  const tasks = [];
  for await (const task of all("/tasks", { dataset_id: dataset.id })) tasks.push([task.id, task.name]);
  return tasks.length > 1 ? tasks : [];
}

// A choice of one of these tasks; nothing to see where there are none.
export function taskField(tasks, onchange) {
  const input = h("select", { onchange }, [["", "All tasks, of each person the newest"], ...tasks].map(([value, text]) => h("option", { value }, text)));
  return { element: tasks.length ? field("Labels of the task", input) : null, value: () => input.value };
}

// The choices that mean something for rows of `becomes` that are made of items of `kind`; where labels decide nothing
// (`decided` is false), those about labels that are kept. `tasks` are `choosable` ones.
export function policyFields({ kind, becomes = kind, decided = true, exporting = false, tasks = [], onchange }) {
  const fits = (about) => about === "always" || (decided && (about === "any" || (kind === "paired" && (about === "pair" || (about === becomes && (about === "paired" || exporting))))));
  const inputs = {};
  const fields = Object.entries(CHOICES).filter(([, [, , about]]) => fits(about)).map(([name, [words, options]]) => {
    inputs[name] = h("select", { onchange }, options.map(([value, text]) => h("option", { value }, text)));
    return field(words, inputs[name]);
  });
  const [first, ...others] = fields;
  const task = taskField(tasks, onchange);
  const element = h("div.pl-stack.tight", task.element, decided ? first : null, h("details", h("summary", decided ? "More about which labels count" : "Which labels are kept"), h("div.pl-form", decided ? others : fields)));
  // What differs from the usual.
  const chosen = () => ({
    ...(task.value() ? { task: task.value() } : {}),
    ...Object.fromEntries(Object.entries(inputs).filter(([name, input]) => input.value !== CHOICES[name][1][0][0]).map(([name, input]) => [name, input.value])),
  });
  return { element, chosen };
}

const typed = (value) => (value === "true" || value === "false" ? value === "true" : value !== "" && !Number.isNaN(Number(value)) ? Number(value) : value);

// The same as the body of a request.
export const asBody = (chosen) => Object.fromEntries(Object.entries(chosen).map(([name, value]) => [name, typed(value)]));

let turn = 0;

// What freezing gives by these choices, and by those beside them; the answer is null when another was asked for since.
export async function preview(place, dataset, chosen) {
  const mine = (turn += 1);
  fill(place, skeleton(3));
  let found;
  try {
    found = await post(`/datasets/${dataset.id}/snapshots/preview`, { policy: asBody(chosen) });
  } catch (error) {
    if (mine === turn) fill(place, errorCard(error));
    return null;
  }
  if (mine !== turn) return null;
  const total = Object.values(found.examples).reduce((sum, one) => sum + one, 0);
  fill(place,
    h("strong", `${plural(total, "example")}: ${count(found.examples.train || 0)} to train on, ${count(found.examples.validation || 0)} for validation, ${count(found.examples.test || 0)} for tests`),
    found.sentences.length ? h("ul.pl-losses", found.sentences.map((line) => h("li", line))) : null,
    h("details", h("summary", "What another choice would give"), table("Other choices", [
      { title: "With", cell: (one) => one.title },
      { title: "Examples", cell: (one) => count(one.examples), kind: "number" },
      { title: "Left out", cell: (one) => count(Object.values(one.left_out).reduce((sum, some) => sum + some, 0)), kind: "number" },
    ], found.choices)));
  return total;
}
