// How a run computes, as the facts of its log tell it: which rows and why, attention, the reference, memory.

import { fill, h } from "./dom.js";
import { count, number } from "./format.js";

const ATTENTION = new Map([["parts", "Part by part, each response with its prompt, short ones together"], ["blocks", "By blocks (FlexAttention)"], ["masks", "Under a mask"]]);

const because = (what, why) => [what, why].filter(Boolean).join(": ");
const nats = (value) => `${number(value, 2)} nats`;

// Rows, each with the fact that brings it. A fact that has no words takes its row away: a run that goes on may compute
// otherwise than before.
const ROWS = [
  ["Rows", "path", ({ path, why }) => (path === "shared" ? `Examples share them, each prompt computed once; exact for ${why}` : `One for each response: ${why}`)],
  ["Attention", "attention", ({ attention }) => ATTENTION.get(attention)],
  ["Checked", "largest_difference", ({ largest_difference: most }) => most !== null && `Sharing changes log-probabilities by at most ${nats(most)}`],
  ["Reference", "computed", ({ computed, examples }) => origin(computed, examples)],
  ["Noise floor", "noise_floor", ({ noise_floor: floor, unmeasured }) => rounding(floor, unmeasured)],
  ["Layers", "gradient_checkpointing", ({ gradient_checkpointing: again, why }) => because(again ? "Computed again, by gradient checkpointing" : "Computed once", why)],
  ["Packs at once", "packs_at_once", ({ packs_at_once: packs }) => count(packs)],
  ["Tokens per pack", "tokens_per_pack", ({ tokens_per_pack: tokens, why }) => because(`At most ${count(tokens)}`, why)],
];

function origin(computed, examples) {
  if (!computed) return "Kept from earlier runs";
  return computed === examples ? "Computed for this run" : `Computed for ${count(computed)} of ${count(examples)} examples, known for the others`;
}

function rounding(floor, unmeasured) {
  if (floor === null) return because("Not measured", unmeasured);
  return floor ? `${nats(floor)}: smaller changes of a log-probability are rounding` : "None: examples asked again gave the same, bit for bit";
}

export class Computing {
  constructor() {
    this.said = new Map(); // row -> words
    this.list = h("dl.pl-facts");
    this.element = h("section.pl-card", { "aria-label": "How it is computed", hidden: true }, h("h2", "How it is computed"), this.list);
  }

  // The facts of a line of the log. What is told `of` another model says nothing about the one that is trained.
  hear(facts) {
    const told = facts.of ? [] : ROWS.filter(([, fact]) => fact in facts);
    if (!told.length) return;
    for (const [name, , words] of told) this.said.set(name, words(facts));
    const known = ROWS.filter(([name]) => this.said.get(name));
    this.element.hidden = !known.length;
    fill(this.list, known.map(([name]) => [h("dt", name), h("dd", this.said.get(name))]));
  }
}
