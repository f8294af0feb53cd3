// The objective of a run: which one, its hyperparameters, the further checkpoints it asks for, and its theory card.

import { get } from "./api.js";
import { fill, h, link, showError } from "./dom.js";
import { fidelity, hyperparameters, needs, paper, theory, drawnFormula } from "./objective-card.js";
import { Thirds } from "./new-run-thirds.js";
import { ObjectivePicker } from "./objective-picker.js";

const OPENED = "pl-theory-opened";

export class ObjectivePart {
  // onchoose() follows another objective, onchange() every change of a hyperparameter. `chosen` are ids of further
  // checkpoints, by name, of a run that is repeated.
  // `scorers` are reward models, `beta` is that run's scale of implicit rewards.
  constructor(catalogue, losses, { checkpoints, scorers, chosen = {}, beta, onchoose, onchange }) {
    this.catalogue = catalogue;
    this.checkpoints = checkpoints;
    this.scorers = scorers;
    this.chosen = chosen;
    this.beta = beta;
    this.further = h("div");
    this.onchange = onchange;
    this.data = null;
    this.picker = new ObjectivePicker([], { onchange: (name) => { this.name = name; onchoose(); } });
    this.card = h("div.pl-stack.tight");
    this.element = h("section.pl-card.pl-stack", h("div.pl-row.between", h("h2", "2 · Objective"), link("All objectives", "/objectives")), this.picker.element, this.card);
    this.offer(losses);
  }

  // What the run may be trained by: the catalogue, or the losses of another kind of run.
  offer(losses) {
    this.offered = losses;
    this.known = new Map([...this.catalogue, ...losses].map((one) => [one.name, one]));
    this.picker.offer(losses);
  }

  get title() {
    return this.known.get(this.name).title;
  }

  // Another objective, or the same with other values: {name, …hyperparameters}.
  set(values) {
    const offered = (name) => this.offered.find((one) => one.name === name);
    const known = offered(values?.name) || offered("dpo") || this.offered[0];
    this.name = known.name;
    this.picker.choose(known.name);
    this.hyper = hyperparameters(known, { known: this.known, values: known.name === values?.name ? values : {}, onchange: () => { this.askFurther(); if (this.box.open) this.theory.draw(); this.onchange(); } });
    this.theory = theory(known, { known: this.known, form: this.hyper, onshow: null, drawn: this.catalogue.includes(known) });
    this.box = h("details", h("summary", known.fixes ? `Theory of ${known.title}: what it fixes and costs, its loss and gradient, relatives` : `More about ${known.title}: what it needs, where it comes from`), this.theory.element);
    this.box.addEventListener("toggle", () => {
      remember(this.box.open);
      if (this.box.open) this.theory.draw();
    });
    this.box.open = remembered();
    this.askFurther();
    fill(this.card, drawnFormula(known), h("p.pl-muted", known.summary),
      h("div.pl-row", needs(known), fidelity(known), paper(known.paper)), this.further, this.hyper.element, this.box);
  }

  // A choice for each further checkpoint that the objective, or one within it, asks for; those chosen before stay.
  askFurther() {
    const asked = named(this.value()).flatMap((name) => this.known.get(name)?.needs.third || []);
    const wanted = [asked, rewarded(this.value(), this.known)].map((names) => [...new Set(names)].sort());
    if (JSON.stringify(wanted) === JSON.stringify(this.thirds?.wanted)) return;
    Object.assign(this.chosen, this.thirds?.body().third_ids);
    this.beta = this.thirds ? this.thirds.body().reward_beta : this.beta;
    this.thirds = new Thirds(wanted, this.checkpoints, { scorers: this.scorers, chosen: this.chosen, beta: this.beta, onchange: () => this.onchange() });
    fill(this.further, this.thirds.element);
  }

  // Whether it learns from pairs as they are; what is made of others does where one of them does.
  get paired() {
    return innermost(this.value()).some((name) => this.known.get(name)?.kinds.includes("paired"));
  }

  // Whether it compares with a reference; what is made of others does where one of them does.
  get compares() {
    return innermost(this.value()).some((name) => this.known.get(name)?.needs.reference !== "none");
  }

  value() {
    return { ...this.hyper.value(), name: this.name };
  }

  body() {
    return { objective: this.value(), ...this.thirds.body() };
  }

  // Which objectives the chosen data can feed, with the labels that count: asked once for the same.
  async fedBy(body, apart, policy) {
    const parts = body.mixture || [body];
    const data = { dataset_id: parts.map((one) => one.dataset_id).filter(Boolean), snapshot_id: parts.map((one) => one.snapshot_id).filter(Boolean), apart, policy: JSON.stringify(policy) };
    const asked = JSON.stringify(data);
    if (asked === this.data) return;
    this.data = asked;
    try {
      const unfit = await get("/objectives/unfit", data);
      if (asked === this.data) this.picker.setUnfit(unfit);
    } catch {
      this.data = null; // the pre-flight says what is wrong with the data; it is asked again at the next change
    }
  }

  clear() {
    this.hyper.clear();
    this.thirds.clear();
    showError(this.picker.element, "");
  }

  // Put a complaint at its field.
  fail(path, words) {
    if (!(path && this.hyper.fail(path, words))) showError(this.picker.element, words);
    return true;
  }
}

// The names of an objective and of all that stand within it.
function named(value) {
  if (!value || typeof value !== "object") return [];
  return [...(typeof value.name === "string" ? [value.name] : []), ...Object.values(value).flatMap(named)];
}

// The names of checkpoints that may tell an objective, and all that stand within it, what the data do not: of one that
// names its aspects, a checkpoint for each.
function rewarded(value, known) {
  if (!value || typeof value !== "object") return [];
  const usual = known.get(value.name)?.needs.rewards || [];
  const each = Array.isArray(value.aspects) && usual.some((name) => name.startsWith("reward."));
  return [...(each ? value.aspects.map((aspect) => `reward.${aspect}`) : usual), ...Object.values(value).flatMap((part) => rewarded(part, known))];
}

// The names of what stands within an objective and is made of no others; its own where nothing does.
function innermost(value) {
  if (!value || typeof value !== "object") return [];
  const within = Object.values(value).flatMap(innermost);
  return within.length || typeof value.name !== "string" ? within : [value.name];
}

function remember(open) {
  try {
    localStorage.setItem(OPENED, open ? "yes" : "");
  } catch {
    // Storage is off: it is closed the next time.
  }
}

function remembered() {
  try {
    return localStorage.getItem(OPENED) === "yes";
  } catch {
    return false;
  }
}
