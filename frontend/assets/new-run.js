// New run: what to train on and from, with which objective, how; checked by the API while one types.

import { all, get } from "./api.js";
import { templatesWanted } from "./checkpoint-template.js";
import { button, empty, field, fill, h, showError, skeleton } from "./dom.js";
import { schemaForm } from "./form.js";
import { count } from "./format.js";
import { actions, param } from "./frame.js";
import { nouns } from "./kinds.js";
import { load } from "./live.js";
import { convertDialog } from "./new-run-convert.js";
import { DataChoice } from "./new-run-data.js";
import { Duration } from "./new-run-duration.js";
import { KindChoice, suited } from "./new-run-kind.js";
import { ObjectivePart } from "./new-run-objective.js";
import { Preflight } from "./new-run-preflight.js";
import { offer, rateFor, replaced, usual, valuesFor } from "./new-run-presets.js";
import { size, toyBadge } from "./run-state.js";
import { stylesheet } from "./stylesheet.js";

const FIRST = ["tuning", "optimizer", "batch"];
const MANY = ["devices", "parallel"];
const REST = ["length", "evaluate", "keep", "precision", "gradient_checkpointing", "seed", "trackers"];

export async function mount(element) {
  await Promise.all([stylesheet("runs.css"), stylesheet("objectives.css")]);
  const page = h("div.pl-page.pl-stack");
  element.append(page);
  actions(button("All runs", () => location.assign("/runs"), { kind: "quiet" }));
  fill(page, skeleton(6));
  await load(page, materials, (found) => {
    if (!found.checkpoints.length || (!found.datasets.length && !found.snapshot)) return void page.append(missing(found));
    const form = new LaunchForm(found);
    actions(button("Paste a configuration", () => convertDialog((run) => form.take(run)), { kind: "quiet" }), button("All runs", () => location.assign("/runs"), { kind: "quiet" }));
    page.append(form.element);
    return null;
  });
}

async function materials() {
  const [form, objectives, registered, datasets, from] = await Promise.all([
    get("/run-form"), get("/objectives"), everything("/checkpoints"), everything("/datasets"),
    param("from") ? get(`/runs/${encodeURIComponent(param("from"))}`) : null,
  ]);
  const frozen = param("snapshot") || null;
  const snapshot = frozen ? await get(`/snapshots/${encodeURIComponent(frozen)}`) : null;
  const weights = registered.filter((one) => one.available && !one.endpoint && one.kind === "language_model");
  const wanting = weights.filter((one) => one.chat_template === "missing");
  return { form, objectives, from, snapshot, wanting, checkpoints: weights.filter((one) => !wanting.includes(one)), datasets: datasets.filter((one) => one.kind !== "prompts") };
}

async function everything(path) {
  const found = [];
  for await (const one of all(path, { limit: 100 })) found.push(one);
  return found;
}

const missing = ({ checkpoints, wanting }) =>
  checkpoints.length
    ? empty("Nothing to train on", "A run learns from labelled pairs of responses, from rankings, from answers with a thumb, or from demonstrations. Import some, or label pairs of your own.", h("a.pl-button.primary", { href: "/import" }, "Import data"), h("a.pl-button", { href: "/data" }, "Data"))
    : empty("No checkpoint to start from", "A run starts from the weights of a language model.", h("a.pl-button.primary", { href: "/checkpoints" }, "Register a checkpoint"), templatesWanted(wanting));

class LaunchForm {
  constructor(found) {
    Object.assign(this, found);
    this.schema = found.form.schema;
    this.named = false;
    this.checks = new Preflight({ body: () => this.body(), show: (path, words) => this.fail(path, words), clear: () => this.clear() });
    this.kind = new KindChoice(found.form.kinds, this.startingKind(), () => this.turn());
    const start = this.startingPoint();
    this.dataPart = this.data(start);
    this.objective = new ObjectivePart(this.objectives, this.losses(), { checkpoints: this.checkpoints, chosen: { ...this.from?.third_ids }, onchoose: () => this.follow(), onchange: () => this.changed() });
    this.trainingPlace = h("div.pl-stack");
    this.preset = start.preset;
    this.element = h("form.pl-split.pl-new-run", { novalidate: true, onsubmit: (event) => { event.preventDefault(); this.checks.launch(); } },
      h("div.pl-stack", this.kind.element, this.dataPart, this.objective.element, this.trainingPart()), this.checks.element);
    this.showKind();
    this.objective.set(start.values.objective);
    this.setTraining(start.values);
    offer(this.presetButtons, this.form.presets, this.chosen());
    this.changed();
  }

  // That of the run to repeat, or the one that the address, its objective or the data named there ask for.
  startingKind() {
    const { kinds } = this.form;
    const named = this.snapshot || this.datasets.find((one) => one.id === param("dataset"));
    const usual = named?.kind === "demonstrations" && !param("objective") ? "sft" : "preference";
    const trained = kinds.find((one) => one.losses.some((loss) => loss.name === param("objective")));
    const wanted = this.from?.kind || param("kind") || trained?.name || usual;
    return kinds.some((one) => one.name === wanted) ? wanted : "preference";
  }

  // The losses of the chosen kind of run, as the catalogue tells of objectives.
  losses() {
    const { losses } = this.kind.chosen();
    return losses.length ? losses : this.objectives;
  }

  // Another kind of run: its data, its losses, and the settings that go with them.
  turn() {
    this.objective.offer(this.losses());
    this.objective.set({});
    this.source.choose([]);
    this.choose(this.preset || usual(this.form.presets, this.chosen()).name);
    this.showKind();
    this.changed();
  }

  // What only some kinds of runs have.
  showKind() {
    const preference = this.kind.value === "preference";
    this.fields.reference_id.hidden = !preference;
    if (!preference) this.reference.value = "";
  }

  // Pairs can feed what learns from single answers, if somebody wants that.
  showPairs() {
    const chosen = this.source.ids().map((id) => this.datasets.find((one) => one.id === id));
    this.pairs.element.hidden = this.objective.paired || !chosen.some((one) => !one || one.kind === "paired");
  }

  makePairs(values) {
    this.pairs = schemaForm(this.part(["pairs"]), { values, onchange: () => this.changed() });
    fill(this.pairsPlace, this.pairs.element);
  }

  // A run to repeat, else the preset that suits the checkpoint; the address may name parts.
  startingPoint() {
    const wanted = param("checkpoint") || this.from?.checkpoint_id;
    const datasets = suited(this.datasets, this.losses());
    const useful = datasets.filter((one) => one.kind !== "paired" || one.labelled > 0);
    const toy = param("toy") ? useful.find((one) => one.toy) : null;
    const dataset = datasets.find((one) => one.id === (param("dataset") || this.from?.dataset_id)) || toy || useful[0] || datasets[0] || null;
    const alike = this.checkpoints.filter((one) => !dataset || one.toy === dataset.toy);
    // What a run made is chosen by name, or run after run would pile up on the last one unnoticed.
    const usualStart = alike.find((one) => !one.run_id) || alike[0] || this.checkpoints[0];
    const checkpoint = this.checkpoints.find((one) => one.id === wanted) || usualStart;
    const preset = usual(this.form.presets, checkpoint);
    const objective = param("objective") || (this.from || this.kind.value === "preference" ? null : this.losses()[0].name);
    const values = { ...(this.from ? this.from.spec : valuesFor(preset, objective)) };
    if (objective && objective !== values.objective?.name) values.objective = { name: objective };
    return { checkpoint, dataset, preset: this.from ? null : preset.name, values };
  }

  // ---- data and checkpoint ----

  data({ checkpoint, dataset }) {
    this.name = h("input", { type: "text", maxlength: 120, value: this.from ? `${this.from.name} again`.slice(0, 120) : "" });
    this.named = Boolean(this.from);
    this.name.addEventListener("input", () => { this.named = this.name.value !== ""; this.changed(); });
    const frozen = () => (this.snapshot ? [h("option", { value: `snapshot:${this.snapshot.id}`, selected: true }, `Snapshot ${this.snapshot.hash.slice(0, 12)} of ${this.snapshot.dataset_name}`)] : []);
    const again = () => (this.from ? [h("option", { value: `snapshot:${this.from.snapshot_id}` }, `The very data of “${this.from.name}”`)] : []);
    const datasets = () => suited(this.datasets, this.losses()).map((one) => h("option", { value: `dataset:${one.id}`, "data-name": one.name, selected: !this.snapshot && one === dataset }, `${one.name} (${one.kind === "paired" ? `${count(one.labelled)} of ${count(one.items)} labelled` : `${count(one.items)} ${nouns(one.kind)}`})`));
    const choices = () => {
      const found = [frozen(), again(), datasets()].flat();
      return found.length ? found : [h("option", { value: "" }, "Nothing here yet that it could learn from")];
    };
    this.pairsPlace = h("div");
    this.makePairs(this.from?.spec || {});
    this.source = new DataChoice(choices, { onchange: () => this.changed(), mixed: this.snapshot ? null : this.from?.data });
    const named = (one) => `${one.name} · ${size(one.parameters)}${one.toy ? " · toy" : ""}`;
    this.checkpoint = h("select", this.checkpoints.map((one) => h("option", { value: one.id, selected: one === checkpoint }, named(one))));
    this.reference = h("select", h("option", { value: "" }, "Where the run starts from"), this.checkpoints.map((one) => h("option", { value: one.id, selected: one.id === this.from?.reference_id }, named(one))));
    this.toy = h("span");
    this.policy = schemaForm(this.part(["policy"]), { onchange: () => this.changed() });
    this.checkpoint.addEventListener("change", () => this.suit());
    this.reference.addEventListener("change", () => this.changed());
    this.fields = {
      name: field("Name", this.name),
      dataset_id: this.source.element,
      checkpoint_id: field("Start from", this.checkpoint, { help: "Its weights are not changed; the run makes new ones." }),
      reference_id: field("Reference", this.reference, { help: "What the objective measures change against." }),
    };
    this.fields.snapshot_id = this.fields.mixture = this.fields.dataset_id;
    return h("section.pl-card.pl-stack", h("div.pl-row", h("h2", "1 · Data and checkpoint"), this.toy),
      h("div.pl-form", this.fields.dataset_id, this.fields.checkpoint_id, this.fields.name), this.pairsPlace, templatesWanted(this.wanting),
      h("details", h("summary", "Reference, and which labels count"), h("div.pl-stack", h("div.pl-form", this.fields.reference_id), this.policy.element)));
  }

  // Another kind of checkpoint wants other settings, unless somebody has chosen some.
  suit() {
    const better = replaced(this.form.presets, this.preset, this.chosen());
    if (better) this.choose(better);
    offer(this.presetButtons, this.form.presets, this.chosen());
    this.changed();
  }

  chosen() {
    return this.checkpoints.find((one) => one.id === this.checkpoint.value);
  }

  // ---- training ----

  trainingPart() {
    this.presetButtons = this.form.presets.map((one) =>
      h("button", { type: "button", value: one.name, "aria-pressed": "false", onclick: () => { this.choose(one.name); this.changed(); } }, h("b", one.title), h("small", one.text)));
    return h("section.pl-card.pl-stack", h("div.pl-row.between", h("h2", "3 · Training"), this.wherePart()), h("div.pl-presets", { role: "group", "aria-label": "Presets" }, this.presetButtons), this.trainingPlace);
  }

  wherePart() {
    this.where = "worker";
    const words = { worker: ["On this server", "A worker of this server trains it"], report: ["Elsewhere", "You start it on another machine, which reports here over HTTPS: a cluster, a rented GPU"] };
    const buttons = Object.entries(words).map(([where, [text, why]]) =>
      h("button", { type: "button", value: where, title: why, "aria-pressed": String(where === "worker"), onclick: () => {
        this.where = where;
        this.showMany();
        buttons.forEach((one) => one.setAttribute("aria-pressed", String(one.value === where)));
        this.changed();
      } }, text));
    return h("div.pl-segments", { role: "group", "aria-label": "Where it is trained" }, buttons);
  }

  choose(name) {
    const preset = this.form.presets.find((one) => one.name === name);
    const values = valuesFor(preset, this.objective.name);
    this.preset = name;
    if (values.objective && this.objective.name === values.objective.name) this.objective.set(values.objective);
    this.setTraining(values);
  }

  // Another objective: with a model's own preset it brings its parameters and its learning rate; the rest stays.
  follow() {
    const preset = this.form.presets.find((one) => one.name === this.preset);
    const first = this.first.value();
    const rate = rateFor(preset, this.objective.name, first.optimizer?.learning_rate);
    this.objective.set(preset?.objectives[this.objective.name]?.objective || { name: this.objective.name });
    if (rate !== null) this.setTraining({ ...first, ...this.rest.value(), ...this.many.value(), duration: this.duration.value(), optimizer: { ...first.optimizer, learning_rate: rate } });
    this.changed();
  }

  setTraining(values) {
    const make = (names) => schemaForm(this.part(names), { values, onchange: () => this.changed() });
    this.first = make(FIRST);
    this.rest = make(REST);
    this.many = make(MANY);
    this.duration = new Duration(this.schema.$defs.Duration, values.duration, () => this.changed());
    this.presetButtons.forEach((one) => one.setAttribute("aria-pressed", String(one.value === this.preset)));
    fill(this.trainingPlace, this.duration.element, this.first.element, h("details", h("summary", "Lengths, evaluation, checkpoints to keep, precision and memory, devices, seed, trackers"), this.rest.element, this.many.element));
    this.showMany();
  }

  // Several devices are offered where there are some: a worker's GPUs, or whatever is elsewhere.
  showMany() {
    const asked = this.many.value();
    this.many.element.hidden = !(this.where === "report" || this.form.gpus > 1 || asked.devices > 1);
  }

  // The schema of some parts of a run alone.
  part(names) {
    const { properties, $defs } = this.schema;
    return { $defs, properties: Object.fromEntries(names.map((name) => [name, properties[name]])) };
  }

  // ---- what is sent, and what comes back ----

  body() {
    return {
      name: this.name.value, kind: this.kind.value, where: this.where, checkpoint_id: this.checkpoint.value, ...(this.reference.value ? { reference_id: this.reference.value } : {}),
      ...this.source.body(), ...this.policy.value(), ...(this.pairs.element.hidden ? {} : this.pairs.value()),
      ...this.objective.body(),
      ...this.first.value(), ...this.rest.value(), ...(this.many.element.hidden ? {} : this.many.value()), duration: this.duration.value(),
    };
  }

  changed() {
    if (!this.duration) return; // still being put together
    this.showPairs();
    if (!this.named) this.name.value = this.suggestion();
    fill(this.toy, this.chosen().toy ? toyBadge() : null);
    this.objective.fedBy(this.source.body(), !this.pairs.element.hidden && this.pairs.value().pairs === "apart", this.policy.value().policy);
    this.checks.changed();
  }

  // A converted configuration: its settings, and what of its data and checkpoints is here.
  take(found) {
    this.preset = null;
    this.kind.choose(found.spec.kind || "preference");
    this.objective.offer(this.losses());
    this.showKind();
    this.makePairs(found.spec);
    if (found.checkpoint_id && this.checkpoints.some((one) => one.id === found.checkpoint_id)) this.checkpoint.value = found.checkpoint_id;
    if (found.reference_id && this.checkpoints.some((one) => one.id === found.reference_id)) this.reference.value = found.reference_id;
    const here = found.data.filter((one) => this.datasets.some((known) => known.id === one.dataset_id));
    if (here.length) this.source.choose(here.map((one) => ({ id: `dataset:${one.dataset_id}`, weight: one.weight })));
    this.objective.set(found.spec.objective);
    this.setTraining(found.spec);
    offer(this.presetButtons, this.form.presets, this.chosen());
    this.changed();
  }

  suggestion() {
    const words = this.source.words();
    return `${this.objective.title} on ${words}`.slice(0, 120);
  }

  clear() {
    Object.values(this.fields).forEach((one) => showError(one, ""));
    this.objective.clear();
    for (const form of [this.first, this.rest, this.many, this.policy, this.pairs]) form.clear();
    this.duration.fail("");
  }

  // Put a complaint at its field; false when no field here is meant.
  fail(path, words) {
    const [head, ...rest] = path.split(".");
    if (head === "duration") return this.duration.fail(words);
    if (head === "third_ids" && this.objective.thirds.fail(words)) return true;
    if (head === "objective") return this.objective.fail(rest.join("."), words);
    if (this.fields[head]) {
      showError(this.fields[head], words);
      return true;
    }
    return [this.first, this.rest, this.many, this.policy, this.pairs].some((form) => form.fail(path, words));
  }
}
