// Whether a run is checked for regressions when it has succeeded, and how.

import { errorCard, fill, h } from "./dom.js";
import { guardForm, materials } from "./guard-form.js";

export class GuardChoice {
  // `values` as a run that is repeated has them.
  constructor(values, onchange) {
    Object.assign(this, { values, onchange });
    this.place = h("div", { hidden: true });
    this.box = h("input", { type: "checkbox", checked: Boolean(values), onchange: () => { this.show(); onchange(); } });
    this.element = h("section.pl-card.pl-stack.tight", h("h2", "4 · Afterwards"), h("label.pl-check", this.box, h("span", "Check for regressions when it has succeeded ", h("span.pl-muted", "Against its reference, on prompt checks and refusals"))), this.place);
    if (values) this.show();
  }

  async show() {
    this.place.hidden = !this.box.checked;
    if (!this.box.checked || this.form) return;
    try {
      this.form = guardForm(await materials(), { values: this.values || {}, onchange: this.onchange });
      fill(this.place, this.form.element);
      this.onchange();
    } catch (error) {
      fill(this.place, errorCard(error, () => this.show()));
    }
  }

  // A reward model writes nothing that could be checked.
  suit(kind) {
    this.element.hidden = kind === "reward_model";
  }

  body(kind) {
    return this.box.checked && this.form && kind !== "reward_model" ? { guard: this.form.value() } : {};
  }

  clear() {
    this.form?.clear();
  }

  fail(path, words) {
    return this.form?.fail(path, words) ?? false;
  }
}
