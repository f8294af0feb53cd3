// How long a run takes: epochs or steps, one of the two; in the other unit it is as long.

import { field, h, showError } from "./dom.js";

const UNITS = { epochs: "Passes over the examples", steps: "Optimizer steps" };

// As many whole steps as the epochs fill, at least one; and the epochs that fill so many.
const IN = {
  steps: (epochs, perEpoch) => Math.max(1, Math.floor(epochs * perEpoch + 1e-9)),
  epochs: (steps, perEpoch) => Math.ceil((1e4 * steps) / perEpoch - 1e-6) / 1e4,
};

const converted = (unit, amount, perEpoch) => (amount > 0 && perEpoch > 0 && Number.isFinite(perEpoch) ? String(IN[unit](amount, perEpoch)) : "");

export class Duration {
  // perEpoch() is how many steps an epoch has, not a number where that is not known.
  constructor(schema, values, { perEpoch, onchange }) {
    this.unit = values?.steps ? "steps" : "epochs";
    this.perEpoch = perEpoch;
    this.input = h("input", { type: "text", inputmode: "decimal", autocomplete: "off", value: values?.[this.unit] ?? 1, oninput: onchange });
    this.field = field("Duration", this.input);
    const help = h("small.pl-help");
    const buttons = Object.entries(UNITS).map(([unit, text]) => h("button", { type: "button", value: unit, onclick: () => { this.turn(unit); show(); onchange(); } }, text));
    const show = () => {
      buttons.forEach((one) => one.setAttribute("aria-pressed", String(one.value === this.unit)));
      help.textContent = schema.properties[this.unit].description;
    };
    this.input.before(h("div.pl-segments", { role: "group", "aria-label": "Unit of the duration" }, buttons));
    this.input.after(help);
    this.element = h("div.pl-form", this.field);
    show();
  }

  // The same length in another unit: what it was there before, unless another number was typed since or the steps of
  // an epoch are others now. Where nobody knows those it is asked for, and what was there comes back with its unit.
  turn(unit) {
    if (unit === this.unit) return;
    const typed = this.input.value;
    const perEpoch = this.perEpoch();
    const alike = typed === this.same?.[this.unit] && (typed === "" || perEpoch === this.same.perEpoch);
    if (!alike) this.same = { [this.unit]: typed, [unit]: converted(unit, Number(typed), perEpoch), perEpoch };
    this.unit = unit;
    this.input.value = this.same[unit];
    if (this.input.value === "") this.input.focus();
  }

  value() {
    const typed = this.input.value.trim();
    return typed === "" ? {} : { [this.unit]: Number.isNaN(Number(typed)) ? typed : Number(typed) };
  }

  fail(words) {
    showError(this.field, words);
    return true;
  }
}
