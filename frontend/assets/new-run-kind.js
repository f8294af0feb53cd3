// What kind of run it is to be: chosen first, because it decides which data and which losses there are.

import { fill, h } from "./dom.js";

// The datasets that some losses can learn from, those that are made for them first; pairs feed what learns from single
// answers once their sides are taken apart.
export function suited(datasets, losses) {
  const kinds = new Set([...losses.flatMap((one) => one.kinds), "paired"]);
  return [...kinds].flatMap((kind) => datasets.filter((one) => one.kind === kind));
}

export class KindChoice {
  constructor(kinds, chosen, onchange) {
    this.kinds = kinds;
    this.value = chosen;
    this.summary = h("p.pl-muted");
    this.buttons = kinds.map((one) => h("button", { type: "button", value: one.name, onclick: () => { if (one.name !== this.value) { this.choose(one.name); onchange(); } } }, one.title));
    this.element = h("section.pl-card.pl-stack.tight", h("h2", "Kind of run"), h("div.pl-segments", { role: "group", "aria-label": "Kind of run" }, this.buttons), this.summary);
    this.choose(chosen);
  }

  choose(kind) {
    this.value = kind;
    this.buttons.forEach((one) => one.setAttribute("aria-pressed", String(one.value === kind)));
    fill(this.summary, this.chosen().summary);
  }

  chosen() {
    return this.kinds.find((one) => one.name === this.value);
  }
}
