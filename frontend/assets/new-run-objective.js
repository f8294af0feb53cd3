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
  constructor(objectives, { checkpoints, chosen = {}, onchoose, onchange }) {
    this.known = new Map(objectives.map((one) => [one.name, one]));
    this.checkpoints = checkpoints;
    this.chosen = chosen;
    this.further = h("div");
    this.onchange = onchange;
    this.data = null;
    this.picker = new ObjectivePicker(objectives, { onchange: (name) => { this.name = name; onchoose(); } });
    this.card = h("div.pl-stack.tight");
    this.element = h("section.pl-card.pl-stack", h("div.pl-row.between", h("h2", "2 · Objective"), link("All objectives", "/objectives")), this.picker.element, this.card);
  }

  get title() {
    return this.known.get(this.name).title;
  }

  // Another objective, or the same with other values: {name, …hyperparameters}.
  set(values) {
    const [first] = this.known.values();
    const known = this.known.get(values?.name) || this.known.get("dpo") || first;
    this.name = known.name;
    this.picker.choose(known.name);
    this.hyper = hyperparameters(known, { known: this.known, values: known.name === values?.name ? values : {}, onchange: () => { this.askFurther(); if (this.box.open) this.theory.draw(); this.onchange(); } });
    this.theory = theory(known, { known: this.known, form: this.hyper, onshow: null });
    this.box = h("details", h("summary", `Theory of ${known.title}: what it fixes and costs, its loss and gradient, relatives`), this.theory.element);
    this.box.addEventListener("toggle", () => {
      remember(this.box.open);
      if (this.box.open) this.theory.draw();
    });
    this.box.open = remembered();
    this.askFurther();
    fill(this.card, drawnFormula(known), h("p.pl-muted", known.fixes || known.summary),
      h("div.pl-row", needs(known), fidelity(known), paper(known.paper)), this.further, this.hyper.element, this.box);
  }

  // A choice for each further checkpoint that the objective, or one within it, asks for; those chosen before stay.
  askFurther() {
    const names = [...new Set(this.thirdsOf(this.value()))].sort();
    if (names.join() === this.thirds?.names.join()) return;
    Object.assign(this.chosen, this.thirds?.body().third_ids);
    this.thirds = new Thirds(names, this.checkpoints, { chosen: this.chosen, onchange: () => this.onchange() });
    fill(this.further, this.thirds.element);
  }

  thirdsOf(value) {
    if (!value || typeof value !== "object") return [];
    const own = this.known.get(value.name)?.needs.third || [];
    return [...own, ...Object.values(value).flatMap((one) => this.thirdsOf(one))];
  }

  value() {
    return { ...this.hyper.value(), name: this.name };
  }

  body() {
    return { objective: this.value(), ...this.thirds.body() };
  }

  // Which objectives the chosen data can feed: asked once for the same data.
  async fedBy(body, apart) {
    const parts = body.mixture || [body];
    const data = { dataset_id: parts.map((one) => one.dataset_id).filter(Boolean), snapshot_id: parts.map((one) => one.snapshot_id).filter(Boolean), apart };
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
