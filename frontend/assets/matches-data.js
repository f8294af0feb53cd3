// From matches to data: those that the filter finds become a dataset with their verdicts, or a task for people to label.

import { ApiError, newKey, post } from "./api.js";
import { button, dialog, errorCard, field, h, link, showError } from "./dom.js";
import { count, plural } from "./format.js";
import { judgeName } from "./judge-name.js";
import { filterNow } from "./match-filter.js";
import { SCALES } from "./task-words.js";
import { exportVotes } from "./votes-export.js";

const NONE = "No match is meant: take something out of the filter.";

// The two buttons; `matches` is how many the filter finds.
export function dataActions(evaluation, matches) {
  const disabled = matches ? null : NONE;
  return [
    button("Make a dataset", () => makeDataset(evaluation), { kind: "small", disabled }),
    button("Make a labelling task", () => makeTask(evaluation, matches), { kind: "small", disabled }),
  ];
}

// What the filter means as the API wants it in a body: numbers as numbers.
const wanted = () => Object.fromEntries(Object.entries(filterNow()).map(([name, value]) => [name, name.startsWith("min_") ? Number(value) : value]));

const source = ({ id }) => ({ evaluation_id: id, filter: wanted() });

const suggestion = (evaluation, what) => `${what}: ${evaluation.name}`.slice(0, 120);

const makeDataset = (evaluation) =>
  exportVotes(source(evaluation), suggestion(evaluation, "Matches"), evaluation.judge.name === "people" ? null : judgeName(evaluation.judge.name, evaluation));

function makeTask(evaluation, matches) {
  return dialog("Make a labelling task", (close) => taskForm(evaluation, matches, close));
}

function taskForm(evaluation, matches, close) {
  const name = field("Name", h("input", { type: "text", maxlength: 120, value: suggestion(evaluation, "To label") }), { help: "Of the new dataset and of its task." });
  const scale = field("Question", h("select", Object.entries(SCALES).map(([value, [words]]) => h("option", { value }, `Which of two is better: ${words.charAt(0).toLowerCase()}${words.slice(1)}`))));
  const overlap = field("Labels an item", h("input", { type: "number", min: 1, max: 20, step: 1, value: 1 }));
  const bad = h("input", { type: "checkbox", checked: true });
  const made = h("div");
  const submit = button("Make the task", null, { kind: "primary", type: "submit" });
  const [dataKey, taskKey] = [newKey(), newKey()];
  let data = null; // what was made stays made when the second step fails
  const form = h("form.pl-stack",
    h("p.pl-muted", `${plural(matches, "match", "matches")} become pairs that nobody has labelled. Whoever labels sees neither names nor verdicts, and sides in an order of their own. Prompts of the test split stay in it.`),
    name, scale, overlap, h("label.pl-check", bad, h("span", "“Both bad” may be said")), made,
    h("div.pl-row.end", button("Cancel", () => close()), submit));
  const value = (one) => one.querySelector("input, select").value.trim();
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    [name, overlap].forEach((one) => showError(one, ""));
    made.replaceChildren();
    submit.disabled = true;
    try {
      data ||= await post("/matches/export", { ...source(evaluation), name: value(name), bare: true }, { key: dataKey });
      const question = { kind: "pair", scale: value(scale), both_bad: bad.checked };
      const task = await post("/tasks", { dataset_id: data.dataset_id, name: value(name), question, overlap: Number(value(overlap)), order: "random" }, { key: taskKey });
      location.assign(`/task?id=${task.id}`);
    } catch (error) {
      submit.disabled = false;
      const at = { name, overlap }[error instanceof ApiError ? error.field : ""];
      if (at) return showError(at, error.detail);
      made.replaceChildren(errorCard(error), data ? h("p", `The dataset “${data.dataset}” with ${count(data.items)} pairs is there. `, link("Make a task on it", `/new-task?dataset=${data.dataset_id}`)) : "");
    }
  });
  return form;
}
