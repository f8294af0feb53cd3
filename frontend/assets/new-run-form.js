// The launch form: its kind, its three parts and the pre-flight beside them, and what one of them means for the others.

import { h } from "./dom.js";
import { GuardChoice } from "./new-run-guard.js";
import { KindChoice } from "./new-run-kind.js";
import { ObjectivePart } from "./new-run-objective.js";
import { Preflight } from "./new-run-preflight.js";
import { Sources } from "./new-run-sources.js";
import { startingKind, startingPoint } from "./new-run-start.js";
import { Training } from "./new-run-training.js";

export class LaunchForm {
  constructor(found) {
    const { form, objectives, checkpoints, from, after } = found;
    this.catalogue = objectives;
    this.checks = new Preflight({ body: () => this.body(), show: (path, words) => this.fail(path, words), clear: () => this.clear() });
    this.kind = new KindChoice(form.kinds, startingKind(found), { after, onchange: () => this.turn() });
    const start = startingPoint(found, this.kind.value, this.losses());
    const onchange = () => this.changed();
    this.sources = new Sources(found, start, { losses: () => this.losses(), onchange, onsuit: () => this.suit() });
    this.objective = new ObjectivePart(objectives, this.losses(), { checkpoints, scorers: found.scorers, chosen: { ...from?.third_ids }, beta: from?.spec.reward_beta, onchoose: () => this.follow(), onchange });
    this.training = new Training(form, start.preset, { examples: () => this.checks.examples, onchange, onpreset: (name) => { this.choose(name); this.changed(); } });
    this.guard = new GuardChoice(from?.guard, onchange);
    this.element = h("form.pl-split.pl-new-run", { novalidate: true, onsubmit: (event) => { event.preventDefault(); this.checks.launch(); } },
      h("div.pl-stack", this.kind.element, this.sources.element, this.objective.element, this.training.element, this.guard.element), this.checks.element);
    this.show(start.values);
  }

  // Settings as a whole, with what they mean for everything else.
  show(values) {
    this.objective.set(values.objective);
    this.training.set(values);
    this.training.suit(this.sources.chosen());
    this.guard.suit(this.kind.value);
    this.ready = true;
    this.changed();
  }

  // The losses of the chosen kind of run, as the catalogue tells of objectives.
  losses() {
    const { losses } = this.kind.chosen();
    return losses.length ? losses : this.catalogue;
  }

  // Another kind of run: its data, its losses, and the settings that go with them.
  turn() {
    this.objective.offer(this.losses());
    this.objective.set({});
    this.sources.turn();
    this.choose(this.training.preset);
    this.guard.suit(this.kind.value);
    this.changed();
  }

  // Another kind of checkpoint wants other settings, unless somebody has chosen some.
  suit() {
    const better = this.training.better(this.sources.chosen());
    if (better) this.choose(better);
    this.training.suit(this.sources.chosen());
    this.changed();
  }

  choose(preset) {
    const given = this.training.choose(preset, this.sources.chosen(), this.objective.name);
    if (given) this.objective.set(given);
  }

  // Another objective was chosen.
  follow() {
    this.objective.set(this.training.follow(this.objective.name));
    this.changed();
  }

  body() {
    return { kind: this.kind.value, ...this.sources.body(), ...this.objective.body(), ...this.training.body(), ...this.guard.body(this.kind.value) };
  }

  changed() {
    if (!this.ready) return; // still being put together
    this.sources.showReference(this.objective.compares);
    this.sources.show(this.objective.paired, this.objective.title);
    this.objective.fedBy(this.sources.data.body(), this.sources.apart, this.sources.labels);
    this.training.mark(this.objective.value());
    this.checks.changed();
  }

  // A converted configuration: its settings, and what of its data and checkpoints is here.
  take(found) {
    this.training.preset = null;
    this.kind.choose(found.spec.kind || "preference");
    this.objective.offer(this.losses());
    this.sources.take(found);
    this.show(found.spec);
  }

  clear() {
    for (const part of [this.sources, this.objective, this.training, this.guard]) part.clear();
  }

  // Put a complaint at its field; false when no field here is meant.
  fail(path, words) {
    const [head, ...rest] = path.split(".");
    if (["third_ids", "reward_beta"].includes(head) && this.objective.thirds.fail(words, head)) return true;
    if (head === "guard") return this.guard.fail(rest.join("."), words);
    if (head === "objective") return this.objective.fail(rest.join("."), words);
    return this.sources.fail(path, words) || this.training.fail(path, words);
  }
}
