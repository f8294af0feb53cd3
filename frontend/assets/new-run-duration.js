// How long a run takes: epochs or steps, one of the two.

import { field, h, showError } from "./dom.js";

export class Duration {
  constructor(schema, values, onchange) {
    this.unit = values?.steps ? "steps" : "epochs";
    this.input = h("input", { type: "text", inputmode: "decimal", autocomplete: "off", value: values?.[this.unit] ?? 1, oninput: onchange });
    this.field = field("Duration", this.input);
    const help = h("small.pl-help");
    const words = { epochs: "Passes over the examples", steps: "Optimizer steps" };
    const buttons = Object.entries(words).map(([unit, text]) => h("button", { type: "button", value: unit, onclick: () => { this.unit = unit; show(); onchange(); } }, text));
    const show = () => {
      buttons.forEach((one) => one.setAttribute("aria-pressed", String(one.value === this.unit)));
      help.textContent = schema.properties[this.unit].description;
    };
    this.input.before(h("div.pl-segments", { role: "group", "aria-label": "Unit of the duration" }, buttons));
    this.input.after(help);
    this.element = h("div.pl-form", this.field);
    show();
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
