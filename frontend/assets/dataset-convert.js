// A dataset as another kind: which kind, by which rule, what it makes (counted and shown before it is made), and its name.

import { get, newKey, post } from "./api.js";
import { button, dialog, errorCard, field, fill, h, link, showError, skeleton, toastError } from "./dom.js";
import { schemaForm } from "./form.js";
import { count, plural } from "./format.js";
import { itemCard } from "./items.js";
import { nouns } from "./kinds.js";

const PAUSE = 300; // between a change of the rule and its preview, in milliseconds

export function convertDialog(dataset) {
  return dialog("Convert", () => {
    const place = h("div.pl-stack", skeleton(4));
    get(`/datasets/${dataset.id}/conversions`).then((choices) => draw(place, dataset, choices), (error) => fill(place, errorCard(error)));
    return place;
  });
}

function draw(place, dataset, choices) {
  if (!choices.length) {
    fill(place, h("p.pl-muted", `Nothing can be made of ${nouns(dataset.kind)}.`));
    return;
  }
  const choice = h("select", choices.map((one) => h("option", { value: one.name }, one.title)));
  const does = h("p.pl-muted");
  const rule = h("div");
  const shown = h("div.pl-stack.tight", { "aria-live": "polite" });
  const name = field("Name of the new dataset", h("input", { maxlength: 120 }));
  const input = name.querySelector("input");
  const under = h("div");
  const make = button("Make the dataset", null, { kind: "primary", type: "submit" });
  const keys = new Map(); // of each content that was sent: sent again, it makes nothing more
  let [form, turn, waiting] = [null, 0, null];
  const chosen = () => choices.find((one) => one.name === choice.value);
  const told = () => ({ name: choice.value, ...form.value() });
  const missing = () => (chosen().form.required || []).filter((one) => ["", undefined].includes(told()[one]));
  const keyOf = (content) => keys.get(content) || keys.set(content, newKey()).get(content);

  const fail = (error) => {
    const path = String(error.field || "").replace(/^rule\.[a-z_]+\./, "");
    const words = [error.detail, error.remedy].filter(Boolean).join(" ");
    if (error.field === "name") showError(name, words);
    else if (!form.fail(path, words)) return false;
    return true;
  };
  const look = async () => {
    const mine = (turn += 1);
    form.clear();
    if (missing().length) {
      fill(shown, h("p.pl-muted", "What it makes is shown once the rule is complete."));
      return;
    }
    fill(shown, skeleton(3));
    let found;
    try {
      found = await post(`/datasets/${dataset.id}/convert/preview`, { rule: told() });
    } catch (error) {
      if (mine !== turn) return;
      fill(shown);
      if (!fail(error)) fill(shown, errorCard(error));
      return;
    }
    if (mine === turn) fill(shown, preview(found));
  };
  const later = () => { clearTimeout(waiting); waiting = setTimeout(look, PAUSE); };
  const change = () => {
    const one = chosen();
    form = schemaForm(one.form, { skip: ["name"], onchange: later });
    input.value = `${dataset.name}: ${one.title.toLowerCase()}`.slice(0, 120);
    does.textContent = one.does;
    fill(rule, form.element);
    fill(under);
    look();
  };
  const send = async (event) => {
    event.preventDefault();
    if (make.disabled) return;
    make.disabled = true;
    make.classList.add("busy");
    const body = { name: input.value, rule: told() };
    showError(name, "");
    form.clear();
    fill(under, skeleton(1));
    try {
      const made = await post(`/datasets/${dataset.id}/convert`, body, { key: keyOf(JSON.stringify(body)) });
      fill(under, h("p", `${count(made.items)} ${nouns(chosen().to)} made. `, link("Open them", `/dataset?id=${made.dataset_id}`)));
    } catch (error) {
      fill(under);
      if (!fail(error)) {
        if (error.detail) fill(under, errorCard(error));
        else toastError(error);
      }
    } finally {
      make.disabled = false;
      make.classList.remove("busy");
    }
  };
  choice.addEventListener("change", change);
  fill(place, h("form.pl-stack", { onsubmit: send, novalidate: true },
    field("What becomes of it", choice), does, rule, shown, name, under, h("div.pl-row.end", make)));
  change();
}

function preview(found) {
  const looked = plural(found.looked_at, "item");
  return [
    h("strong", found.made ? `${found.more ? "More than " : ""}${count(found.made)} ${nouns(found.to)} of ${looked}` : `Nothing of ${looked}`),
    found.sentences.length ? h("ul.pl-losses", found.sentences.map((line) => h("li", line))) : null,
    found.rows.length ? h("details", h("summary", "The first of them"), found.rows.map((row) => itemCard(row))) : null,
  ];
}

// Where a dataset came from that was made of another one.
export function madeFrom({ made_from: made }) {
  if (!made) return null;
  const options = Object.entries(made.rule).filter(([name]) => name !== "name");
  const rule = options.map(([name, value]) => `${name.replaceAll("_", " ")} ${String(value).replaceAll("_", " ")}`).join(", ");
  const left = Object.values(made.left_out).reduce((sum, number) => sum + number, 0) + made.doubled + made.contradicting;
  return h("p",
    "Made of ", link(made.name, `/dataset?id=${made.dataset_id}`), ` (${nouns(made.kind)})`, rule ? `: ${rule}` : "", ".",
    left ? h("span.pl-muted", ` ${plural(left, "item")} left out.`) : null);
}
