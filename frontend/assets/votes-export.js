// "Add to dataset": votes on matches become items with labels, in a new dataset or one that is there.

import { all, ApiError, newKey, post } from "./api.js";
import { button, dialog, errorCard, field, fill, h, showError } from "./dom.js";
import { count, plural } from "./format.js";

const NEW = "";

// source: {arena: true} or {evaluation_id}; judge: the automatic judge whose verdicts may come along, or null.
export async function exportVotes(source, suggestion, judge = null) {
  const datasets = [];
  for await (const dataset of all("/datasets")) if (dataset.kind === "paired") datasets.push(dataset);
  return dialog("Add to a dataset", (close) => form(source, suggestion, judge, datasets, close));
}

function form(source, suggestion, judge, datasets, close) {
  const target = h("select", h("option", { value: NEW }, "A new dataset"), datasets.map((one) => h("option", { value: one.id }, one.name)));
  const name = h("input", { type: "text", maxlength: 120, value: suggestion });
  const nameField = field("Name", name);
  const judges = h("input", { type: "checkbox" });
  target.addEventListener("change", () => { nameField.hidden = target.value !== NEW; });
  const place = h("form.pl-stack");
  const wrong = h("div.pl-when-filled.pl-stack");
  const submit = async (event) => {
    event.preventDefault();
    showError(nameField, "");
    fill(wrong);
    const to = target.value === NEW ? { name: name.value } : { dataset_id: target.value };
    try {
      done(place, await post("/matches/export", { ...source, ...to, judges: judges.checked }, { key: newKey() }), close);
    } catch (error) {
      if (error instanceof ApiError && error.field === "name") showError(nameField, error.detail);
      else {
        fill(wrong, errorCard(error), leftOut(error.problem?.left_out || {}));
      }
    }
  };
  place.addEventListener("submit", submit);
  return fill(
    place,
    wrong,
    h("p.pl-muted", `${source.filter ? "Of the matches that the filter finds, every one" : "Every match"} with a vote becomes a pair with its label. Done again, only what is new is added.`),
    field("Dataset", target),
    nameField,
    judge && h("label.pl-check", judges, h("span", `Also the verdicts of ${judge}, as labels of source “judge”`)),
    h("div.pl-row.end", button("Cancel", () => close()), button("Add", null, { kind: "primary", type: "submit" })),
  );
}

// How many matches became nothing, by reason.
const leftOut = (reasons) => Object.entries(reasons).map(([reason, number]) => h("p.pl-muted", `${plural(number, "match", "matches")} left out: ${reason}.`));

function done(place, { dataset_id: id, dataset, items, labels, trainable, left_out: left }, close) {
  const tests = items - trainable;
  fill(
    place,
    h("p", h("strong", labels ? `${plural(labels, "new label")} ` : "No new label "), `in “${dataset}”, which holds ${plural(items, "pair")} of these matches.`),
    tests > 0 && h("p.pl-muted", `${tests === 1 ? "1 pair has a validation or test prompt; it" : `${count(tests)} pairs have validation or test prompts; they`} never ${tests === 1 ? "enters" : "enter"} training.`),
    leftOut(left),
    h("div.pl-row.end", button("Close", () => close(true)), h("a.pl-button", { href: `/dataset?id=${id}` }, "Open the dataset"),
      trainable > 0 && h("a.pl-button.primary", { href: `/new-run?dataset=${id}` }, "Train on it")),
  );
}
