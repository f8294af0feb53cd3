// What kind of run it is to be: chosen first, because it decides which data and which losses there are.

import { button, fill, h, link } from "./dom.js";
import { placeOf, steps } from "./recipe.js";
import { runPage } from "./run-state.js";

// The datasets that some losses can learn from, those that are made for them first; pairs feed what learns from single
// answers once their sides are taken apart.
export function suited(datasets, losses) {
  const kinds = new Set([...losses.flatMap((one) => one.kinds), "paired"]);
  return [...kinds].flatMap((kind) => datasets.filter((one) => one.kind === kind));
}

// Those of them that are made for the losses; where there are none, the pairs.
export function fitting(datasets, losses) {
  const offered = suited(datasets, losses);
  const made = offered.filter((one) => losses.some((loss) => loss.kinds.includes(one.kind)));
  return made.length ? made : offered;
}

export class KindChoice {
  // `after` is the run of a recipe that this one goes on from, if any.
  constructor(kinds, chosen, { after, onchange }) {
    this.kinds = kinds;
    this.after = after;
    this.value = chosen;
    this.onchange = onchange;
    this.summary = h("p.pl-muted");
    this.recipe = h("details", { open: Boolean(after) });
    this.buttons = kinds.map((one) => h("button", { type: "button", value: one.name, onclick: () => this.take(one.name) }, one.title));
    this.element = h("section.pl-card.pl-stack.tight", h("h2", "Kind of run"), h("div.pl-segments", { role: "group", "aria-label": "Kind of run" }, this.buttons), this.summary, this.recipe);
    this.choose(chosen);
  }

  take(kind) {
    if (kind === this.value) return;
    this.choose(kind);
    this.onchange();
  }

  choose(kind) {
    this.value = kind;
    this.buttons.forEach((one) => one.setAttribute("aria-pressed", String(one.value === kind)));
    fill(this.summary, this.chosen().summary);
    this.showRecipe();
  }

  showRecipe() {
    const { after, value } = this;
    fill(this.recipe,
      h("summary", after ? `Step ${placeOf(value)} of a recipe of three runs` : "A recipe of three runs: demonstrations, a reward model, preferences"),
      h("div.pl-stack.tight", steps(value),
        h("p.pl-muted", after ? ["It goes on from ", link(after.name, runPage(after.id)), "."] : "When a run of it has ended, its page offers the next one and brings checkpoint and data along."),
        after || value === "sft" ? null : h("div", button("Begin with fine-tuning", () => this.take("sft"), { kind: "small" }))));
  }

  chosen() {
    return this.kinds.find((one) => one.name === this.value);
  }
}
