// The objective of a run: which one, its hyperparameters, and its theory card.

import { get } from "./api.js";
import { fill, h, link, showError } from "./dom.js";
import { fidelity, hyperparameters, needs, paper, theory, drawnFormula } from "./objective-card.js";
import { ObjectivePicker } from "./objective-picker.js";

const OPENED = "pl-theory-opened";

export class ObjectivePart {
  // onchoose() follows another objective, onchange() every change of a hyperparameter.
  constructor(objectives, { onchoose, onchange }) {
    this.known = new Map(objectives.map((one) => [one.name, one]));
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
    this.hyper = hyperparameters(known, { known: this.known, values: known.name === values?.name ? values : {}, onchange: () => { if (this.box.open) this.theory.draw(); this.onchange(); } });
    this.theory = theory(known, { known: this.known, form: this.hyper, onshow: null });
    this.box = h("details", h("summary", `Theory of ${known.title}: what it fixes and costs, its loss and gradient, relatives`), this.theory.element);
    this.box.addEventListener("toggle", () => {
      remember(this.box.open);
      if (this.box.open) this.theory.draw();
    });
    this.box.open = remembered();
    fill(this.card, drawnFormula(known), h("p.pl-muted", known.fixes || known.summary),
      h("div.pl-row", needs(known), fidelity(known), paper(known.paper)), this.hyper.element, this.box);
  }

  value() {
    return { ...this.hyper.value(), name: this.name };
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
