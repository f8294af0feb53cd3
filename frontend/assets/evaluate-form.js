// The form of a new evaluation: who answers, which prompts, who judges, how; and what it will take, told beforehand.

import { newKey, post } from "./api.js";
import { badge, button, errorCard, field, fill, h, named, showError } from "./dom.js";
import { judgePart } from "./evaluate-judge.js";
import { takes } from "./evaluate-size.js";
import { limitFields } from "./evaluation-cost.js";
import { count } from "./format.js";
import { harnessForm } from "./harness-form.js";
import { size } from "./run-state.js";
import { samplingForm } from "./sampling.js";

const MOST = 6;
const PAUSE = 350; // milliseconds without a change before the size is asked

// Whether its answers can be had: imported ones are there, others are written with its weights.
const answers = (one) => one.source === "outputs" || one.available !== false;

// `again()` gives the checkpoints as they are now.
export function evaluationForm({ checkpoints, models, datasets, judges, harness, chosen, again, run = "" }) {
  return new Form(checkpoints, models, datasets, judges, harness, chosen, again, run).element;
}

class Form {
  constructor(checkpoints, models, datasets, judges, harness, chosen, again, run) {
    Object.assign(this, { checkpoints, datasets, again, runWanted: run });
    this.endpoints = checkpoints.filter((one) => one.endpoint);
    this.judge = judgePart({ judges, models, onchange: () => this.changed() });
    this.chosen = chosen.filter((id) => checkpoints.some((one) => one.id === id)).slice(0, MOST);
    this.baseline = null; // the one that the person chose
    this.named = false; // whether the person typed a name
    this.key = newKey();
    this.size = h("aside.pl-card.pl-stack.tight.pl-eval-size", { "aria-label": "What it takes", "aria-live": "polite" });
    this.general = h("div.pl-when-filled");
    this.harness = harnessForm(harness, { onchange: () => this.changed() });
    this.benchmarks = harness.installed;
    this.element = h("form.pl-split", { onsubmit: (event) => { event.preventDefault(); this.launch(); }, novalidate: true },
      h("div.pl-stack", this.general, this.contestants(), this.prompts(), this.judge.element, this.answers(), this.measured()), this.size);
    this.changed();
  }

  // ---- the parts ----

  listed() {
    this.rows = this.checkpoints.map((one) => {
      const box = h("input", { type: "checkbox", checked: this.chosen.includes(one.id), disabled: one.source !== "outputs" && (one.available === false || one.chat_template === "missing") });
      box.addEventListener("change", () => this.tick(one.id, box));
      const place = h("span.pl-eval-place");
      return { id: one.id, place, element: h("label.pl-check.pl-eval-contestant", box, named(one.name, "span.pl-grow"), place,
        one.toy ? badge("toy", "warn") : null, one.source === "outputs" ? null : one.available === false ? badge("files missing", "bad") : one.chat_template === "missing" ? badge("needs a chat template", "warn") : null, h("span.pl-muted", one.source === "outputs" ? "imported outputs" : one.endpoint ? "endpoint" : size(one.parameters))) };
    });
    fill(this.list, this.rows.map((row) => row.element));
  }

  contestants() {
    this.list = h("div.pl-eval-list");
    this.listed();
    this.contestantError = h("small.pl-field-error", { role: "alert" });
    const search = h("input.pl-input", { type: "search", placeholder: "Filter by name", "aria-label": "Filter checkpoints", hidden: this.rows.length < 9 });
    search.addEventListener("input", () => {
      const wanted = search.value.toLowerCase();
      this.rows.forEach((row, index) => { row.element.hidden = !this.checkpoints[index].name.toLowerCase().includes(wanted); });
    });
    return h("section.pl-card.pl-stack.tight", h("h2", "Contestants"),
      h("p.pl-muted", "Two to six checkpoints. The oldest is the baseline that the others are measured against, unless you choose another."),
      search, this.list, this.wholeRun(), this.contestantError);
  }

  // All checkpoints of a run in one evaluation: the curve over its steps.
  wholeRun() {
    const runs = new Map(this.checkpoints.filter((one) => one.run_id).map((one) => [one.run_id, one.name.replace(/ · step \d+$/, "")]));
    this.runs = runs;
    this.run = h("select", h("option", { value: "" }, "None"), [...runs].map(([id, name]) => h("option", { value: id, selected: id === this.runWanted }, name)));
    this.run.addEventListener("input", () => this.changed());
    this.ofRun = h("p.pl-muted.pl-when-filled", { "aria-live": "polite" });
    return h("div.pl-stack.tight", { hidden: !runs.size }, field("Every checkpoint of a run", this.run, { help: "All that are left meet the baseline alone: ticked above, else the run's reference." }), this.ofRun);
  }

  // How many checkpoints of the chosen run take part.
  tellRun() {
    const left = this.checkpoints.filter((one) => this.run.value && one.run_id === this.run.value && one.available !== false).length;
    const words = left === 1 ? "One checkpoint of this run is left: it gives one rate, and no curve over steps." : left ? `${count(left)} checkpoints are left, each a point of the curve over steps.` : "No checkpoint of this run is left that could answer.";
    fill(this.ofRun, this.run.value ? words : null);
  }

  // A checkpoint that the API does not know any more, or whose files are gone: it is named, and the list is read anew.
  // One that is there still cannot take part in this, and the API has said why.
  async missing(id, why) {
    const gone = this.checkpoints.find((one) => one.id === id);
    if (!gone || this.reading) return;
    this.reading = true;
    try {
      this.checkpoints = await this.again();
      if (this.checkpoints.some((one) => one.id === id && answers(one))) return;
      this.chosen = this.chosen.filter((one) => this.checkpoints.some((other) => other.id === one && answers(other)));
      this.listed();
      this.changed();
      this.gone = `“${gone.name}” cannot take part any more; the list is read anew. ${why}`;
      this.contestantError.textContent = this.gone;
    } catch (error) {
      this.contestantError.textContent = `“${gone.name}”: ${why} ${error.message}`;
    } finally {
      this.reading = false;
    }
  }

  tick(id, box) {
    if (box.checked && this.chosen.length >= MOST) {
      box.checked = false;
      this.contestantError.textContent = `At most ${MOST} checkpoints take part.`;
      return;
    }
    this.chosen = box.checked ? [...this.chosen, id] : this.chosen.filter((one) => one !== id);
    this.changed();
  }

  // The baseline first, then the others by age: the list is newest first.
  order() {
    const age = (id) => this.checkpoints.findIndex((one) => one.id === id);
    this.chosen.sort((one, other) => (other === this.baseline) - (one === this.baseline) || age(other) - age(one));
  }

  mark(row) {
    const at = this.chosen.indexOf(row.id);
    const choose = (event) => {
      event.preventDefault();
      this.baseline = row.id;
      this.changed();
    };
    fill(row.place, at === 0 ? "baseline" : at > 0 ? h("button.pl-button.small.quiet", { type: "button", onclick: choose }, "Make baseline") : null);
  }

  prompts() {
    this.source = this.datasets.length ? "dataset" : "texts";
    this.dataset = h("select", this.datasets.map((one) => h("option", { value: one.id }, `${one.name} (${count(one.items)})`)));
    this.split = h("select", h("option", { value: "test" }, "Test (never trained on)"), h("option", { value: "validation" }, "Validation"), h("option", { value: "train" }, "Train"), h("option", { value: "" }, "Every split"));
    this.limit = h("input", { type: "number", min: 1, max: 10000, value: 100 });
    this.texts = h("textarea", { rows: 6, placeholder: "One prompt a line" });
    this.datasetField = field("Dataset", this.dataset);
    this.splitField = field("Split", this.split);
    this.limitField = field("At most", this.limit, { help: "Prompts, drawn by the seed." });
    this.textField = field("Prompts", this.texts, { help: "One a line; doubled lines are asked once." });
    this.noneField = h("p.pl-muted", "Nothing is asked and nobody judges: the public benchmarks named below are all that is measured.");
    const fromDataset = h("div.pl-form", this.datasetField, this.splitField);
    const imported = this.checkpoints.filter((one) => one.source === "outputs");
    this.outputs = h("select", imported.map((one) => h("option", { value: one.id, selected: this.chosen.includes(one.id) }, one.name)));
    this.outputsField = field("Prompts that it has answered", this.outputs, { help: "Outputs of other tools that were imported: the others answer the same prompts." });
    this.outputs.addEventListener("input", () => this.changed());
    if (imported.some((one) => this.chosen.includes(one.id))) this.source = "outputs";
    const show = () => {
      this.limitField.hidden = ["texts", "none"].includes(this.source);
      this.outputsField.hidden = this.source !== "outputs";
      fromDataset.hidden = this.source !== "dataset";
      this.textField.hidden = this.source !== "texts";
      this.noneField.hidden = this.source !== "none";
      this.judge.element.hidden = this.source === "none";
      for (const one of buttons) one.setAttribute("aria-pressed", String(one.value === this.source));
    };
    const sources = [["dataset", "From a dataset", this.datasets.length], ["outputs", "Of imported outputs", imported.length], ["texts", "Typed here", true], ["none", "None", this.benchmarks]].filter(([, , any]) => any);
    const buttons = sources.map(([value, words]) =>
      h("button", { type: "button", value, onclick: () => { this.source = value; show(); this.changed(); } }, words));
    // Prompts without answers are never trained on: all of them may be asked.
    const wholeOrTest = () => { this.split.value = this.datasets.find((one) => one.id === this.dataset.value)?.kind === "prompts" ? "" : "test"; };
    this.dataset.addEventListener("input", wholeOrTest);
    for (const input of [this.dataset, this.split, this.limit, this.texts]) input.addEventListener("input", () => this.changed());
    wholeOrTest();
    show();
    return h("section.pl-card.pl-stack.tight", h("h2", "Prompts"), sources.length > 1 && h("div.pl-segments", { role: "group", "aria-label": "Where prompts come from" }, buttons), fromDataset, this.outputsField, this.limitField, this.textField, this.noneField);
  }

  answers() {
    this.sampling = samplingForm({ onchange: () => this.changed() });
    this.seed = h("input", { type: "number", min: 0, max: 2147483647, value: 0 });
    this.seedField = field("Seed", this.seed, { help: "The same seed draws the same prompts and answers." });
    this.seed.addEventListener("input", () => this.changed());
    this.sampling.element.append(this.seedField);
    this.fresh = h("input", { type: "checkbox" });
    this.limits = limitFields(null, () => this.changed());
    this.fresh.addEventListener("input", () => this.changed());
    const spending = h("div.pl-form", { hidden: !this.endpoints.length }, Object.values(this.limits.fields));
    const fresh = h("label.pl-check", this.fresh, h("span", "Draw everything anew, also what earlier evaluations hold"));
    this.name = h("input", { type: "text", maxlength: 120 });
    this.nameField = field("Name", this.name);
    this.name.addEventListener("input", () => { this.named = this.name.value !== ""; this.changed(); });
    return h("section.pl-card.pl-stack.tight", h("h2", "Answers"), this.sampling.element, spending, fresh, this.nameField);
  }

  measured() {
    return h("section.pl-card.pl-stack.tight", h("h2", "Public benchmarks"), this.harness.element);
  }

  // ---- what is sent ----

  body() {
    const texts = this.texts.value.split("\n").map((line) => line.trim()).filter(Boolean);
    const limit = Number(this.limit.value);
    const prompts = this.source === "none" ? { texts: [] } : this.source === "texts" ? { texts } : this.source === "outputs" ? { outputs_of: this.outputs.value, limit } : { dataset_id: this.dataset.value, split: this.split.value || null, limit };
    return {
      name: this.name.value,
      contestants: this.chosen,
      ...(this.run.value ? { run_id: this.run.value } : {}),
      prompts,
      judge: this.source === "none" ? { name: "rules" } : this.judge.value(), // nothing will be judged
      sampling: this.sampling.value(),
      seed: Number(this.seed.value),
      reuse: !this.fresh.checked,
      limits: this.limits.value(),
      harness: this.harness.value(),
    };
  }

  changed() {
    this.order();
    for (const row of this.rows) this.mark(row);
    this.tellRun();
    if (!this.named) this.name.value = this.suggestion();
    this.key = newKey();
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.measure(), PAUSE);
    if (!this.size.children.length) this.draw(null, "");
  }

  suggestion() {
    const names = this.chosen.map((id) => this.checkpoints.find((one) => one.id === id).name);
    if (this.run.value) return `${this.runs.get(this.run.value)} by step`.slice(0, 120);
    if (names.length < 2) return "";
    const others = names.length > 2 ? `${names.length - 1} checkpoints` : names[1];
    return `${others} against ${names[0]}`.slice(0, 120);
  }

  // Ask what it would take; what is wrong is shown at its field.
  async measure() {
    this.clear();
    if (this.chosen.length < 2 && !this.run.value) return this.draw(null, "Tick two checkpoints.");
    if (this.source === "texts" && !this.texts.value.trim()) return this.draw(null, "Type at least one prompt.");
    const tasks = this.harness.named().length;
    if (this.source === "none" && !tasks) return this.draw(null, "Name a task of the public benchmarks.");
    const turn = (this.turn = (this.turn || 0) + 1);
    try {
      const size = await post("/evaluations/preflight", this.body());
      if (turn === this.turn) this.draw(size, "", tasks);
    } catch (error) {
      if (turn === this.turn) this.draw(null, this.refused(error));
    }
    return null;
  }

  draw(size, why = "", tasks = 0) {
    const launch = button("Start evaluation", null, { kind: "primary", type: "submit", disabled: size ? null : why || "Measuring…" });
    if (!size) return void fill(this.size, h("h2", "What it takes"), h("p.pl-muted", why || "Measuring…"), launch);
    return void fill(this.size, h("h2", "What it takes"), takes(size, tasks), this.short(size), size.warnings.map((words) => h("div.pl-card.warn.pl-note", words)), launch);
  }

  // Said when the split, not the limit, makes the prompts few.
  short({ available }) {
    const whole = this.source === "dataset" && this.split.value ? this.datasets.find((one) => one.id === this.dataset.value) : null;
    if (!whole || available >= Math.min(Number(this.limit.value), whole.items)) return null;
    return h("p.pl-muted", `The ${this.split.value} split holds ${count(available)} of the ${count(whole.items)} in “${whole.name}”.`);
  }

  clear() {
    this.contestantError.textContent = this.gone || "";
    this.gone = null; // it is read once more, and goes with the next change
    fill(this.general);
    for (const one of [this.nameField, this.seedField, this.datasetField, this.splitField, this.limitField, this.textField, this.outputsField, ...Object.values(this.limits.fields)]) showError(one, "");
    this.sampling.clear();
    this.judge.clear();
    this.harness.clear();
  }

  // Put each of the API's complaints at its field; the sentence that says so, or what it complains of.
  refused(error) {
    const placed = error.problems.filter((one) => this.fail(one)).length;
    if (placed < error.problems.length) return error.message;
    return placed === 1 ? "One field needs a change first." : `${placed} fields need a change first.`;
  }

  // Put the API's complaint where it belongs; false when it belongs nowhere here.
  fail(error) {
    const path = error.field || "";
    const words = [error.detail, error.remedy].filter(Boolean).join(" ");
    const places = { name: this.nameField, seed: this.seedField, "prompts.split": this.splitField, "prompts.dataset_id": this.datasetField, "prompts.limit": this.limitField, "prompts.outputs_of": this.outputsField, "limits.money": this.limits.fields.money, "limits.tokens": this.limits.fields.tokens };
    if (places[path]) showError(places[path], words);
    else if (path.startsWith("sampling.")) return this.sampling.fail(path.slice(9), words);
    else if (path.startsWith("harness")) this.harness.fail(path.slice(8), words);
    else if (path.startsWith("judge")) return this.judge.fail(path.slice(6), words);
    else if (path.startsWith("prompts")) showError(this.source === "texts" ? this.textField : this.datasetField, words);
    else if (path.startsWith("contestants.")) {
      this.contestantError.textContent = words;
      this.missing(this.chosen[Number(path.split(".")[1])], words);
    } else if (path.startsWith("contestants") || path === "run_id") this.contestantError.textContent = words;
    else return false;
    return true;
  }

  async launch() {
    this.clear();
    try {
      const evaluation = await post("/evaluations", this.body(), { key: this.key });
      location.assign(`/evaluation?id=${evaluation.id}`);
    } catch (error) {
      if (error.problems.map((one) => this.fail(one)).includes(false)) fill(this.general, errorCard(error));
      this.element.querySelector(".wrong .pl-input")?.focus();
    }
  }
}
