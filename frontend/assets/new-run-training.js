// The third part of the launch form: presets, where it is trained, and everything about the training itself.

import { fill, h } from "./dom.js";
import { schemaForm } from "./form.js";
import { Duration } from "./new-run-duration.js";
import { asGiven, objectiveFor, offer, rateFor, replaced, usual, valuesFor } from "./new-run-presets.js";
import { schemaOf } from "./new-run-start.js";

const FIRST = ["tuning", "optimizer", "batch"];
const MANY = ["devices", "parallel"];
const REST = ["length", "evaluate", "keep", "precision", "gradient_checkpointing", "seed", "trackers"];
const WHERE = {
  worker: ["On this server", "A worker of this server trains it"],
  report: ["Elsewhere", "You start it on another machine, which reports here over HTTPS: a cluster, a rented GPU"],
};

export class Training {
  // `preset` is the name of the one to begin with, null for a run that is repeated; examples() is how many there are to
  // train on, where that is known; onchange() follows every change, onpreset(name) the choice of another preset.
  constructor({ presets, schema, gpus }, preset, { examples, onchange, onpreset }) {
    Object.assign(this, { presets, schema, gpus, preset, examples, onchange });
    this.where = "worker";
    this.changed = false;
    this.place = h("div.pl-stack");
    this.buttons = presets.map((one) => h("button", { type: "button", value: one.name, "aria-pressed": "false", onclick: () => onpreset(one.name) }, h("b", one.title), h("small", one.text)));
    this.element = h("section.pl-card.pl-stack", h("div.pl-row.between", h("h2", "3 · Training"), this.wherePart()), h("div.pl-presets", { role: "group", "aria-label": "Presets" }, this.buttons), this.place);
  }

  wherePart() {
    const buttons = Object.entries(WHERE).map(([where, [text, why]]) =>
      h("button", { type: "button", value: where, title: why, "aria-pressed": String(where === this.where), onclick: () => {
        this.where = where;
        this.showMany();
        buttons.forEach((one) => one.setAttribute("aria-pressed", String(one.value === where)));
        this.onchange();
      } }, text));
    return h("div.pl-segments", { role: "group", "aria-label": "Where it is trained" }, buttons);
  }

  // Only presets that the checkpoint can use are there.
  suit(checkpoint) {
    offer(this.buttons, this.presets, checkpoint);
  }

  // The preset that another checkpoint wants, unless somebody has chosen one that does for it; null for none.
  better(checkpoint) {
    return replaced(this.presets, this.preset, checkpoint);
  }

  // Take a preset, by name or the usual one of a checkpoint, for an objective. Returns what it gives the objective, if anything.
  choose(name, checkpoint, objective) {
    const preset = this.presets.find((one) => one.name === name) || usual(this.presets, checkpoint);
    this.preset = preset.name;
    this.changed = false;
    this.set(valuesFor(preset, objective));
    return objectiveFor(preset, objective);
  }

  // Another objective: a preset that knows it brings its parameters and its learning rate; the rest stays.
  follow(objective) {
    const preset = this.presets.find((one) => one.name === this.preset);
    const first = this.first.value();
    const rate = rateFor(preset, objective, first.optimizer?.learning_rate, this.rate);
    if (rate !== null) this.set({ ...first, ...this.rest.value(), ...this.many.value(), duration: this.duration.value(), optimizer: { ...first.optimizer, learning_rate: rate } });
    return objectiveFor(preset, objective) || { name: objective };
  }

  set(values) {
    this.rate = values.optimizer?.learning_rate;
    const onchange = () => { this.changed = true; this.onchange(); };
    const make = (names) => schemaForm(schemaOf(this.schema, names), { values, onchange });
    this.first = make(FIRST);
    this.rest = make(REST);
    this.many = make(MANY);
    const perEpoch = () => this.examples() / this.first.value().batch?.examples_per_step;
    this.duration = new Duration(this.schema.$defs.Duration, values.duration, { perEpoch, onchange });
    fill(this.place, this.duration.element, this.first.element, h("details", h("summary", "Lengths, evaluation, checkpoints to keep, precision and memory, devices, seed, trackers"), this.rest.element, this.many.element));
    this.showMany();
  }

  // A preset is marked as long as nobody has changed what it gave, to the objective as well.
  mark(objective) {
    this.buttons.forEach((one, index) =>
      one.setAttribute("aria-pressed", String(one.value === this.preset && !this.changed && asGiven(this.presets[index], objective))));
  }

  // Several devices are offered where there are some: a worker's GPUs, or whatever is elsewhere.
  showMany() {
    const asked = this.many.value();
    this.many.element.hidden = !(this.where === "report" || this.gpus > 1 || asked.devices > 1);
  }

  body() {
    return { where: this.where, ...this.first.value(), ...this.rest.value(), ...(this.many.element.hidden ? {} : this.many.value()), duration: this.duration.value() };
  }

  clear() {
    for (const form of [this.first, this.rest, this.many]) form.clear();
    this.duration.fail("");
  }

  // Put a complaint at its field; false when no field here is meant.
  fail(path, words) {
    if (path.split(".")[0] === "duration") return this.duration.fail(words);
    return [this.first, this.rest, this.many].some((form) => form.fail(path, words));
  }
}
