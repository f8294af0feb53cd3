// What answers are like beside who won: length, variety and repetition of each contestant, and against the baseline.

import { get } from "./api.js";
import { badge, errorCard, fill, h, skeleton, table } from "./dom.js";
import { count, number, percent, plural } from "./format.js";
import { intervalLine } from "./interval.js";

export const METERS = {
  tokens: ["Tokens", "Mean tokens of an answer, by each contestant's own tokenizer"],
  words: ["Words", "Mean words and signs of an answer"],
  distinct_1: ["Distinct-1", "Different words by all words of the answers; longer answers have less"],
  distinct_2: ["Distinct-2", "Different runs of two words by all of them"],
  distinct_3: ["Distinct-3", "Different runs of three words by all of them"],
  ead: ["EAD", "Different runs of one to five words by what as many drawn by lot would give: distinct-n with the length's part taken out"],
  self_bleu: ["Self-BLEU", "BLEU of each answer against the answers to all other prompts; 1 when all are the same"],
  repetition: ["Repetition", "Share of an answer's runs of four words that stood in it before"],
  loops: ["Loops", "Share of answers that end in the same words three times over"],
  entropy: ["Entropy", "Bits a word, of the words' frequencies"],
};
export const SHARES = ["distinct_1", "distinct_2", "distinct_3", "self_bleu", "repetition", "loops"];
const digits = (name, value) => (SHARES.includes(name) ? percent(value, 1) : number(value, 3));

export class Meters {
  constructor(evaluation) {
    this.evaluation = evaluation;
    this.body = h("div", skeleton(3));
    this.element = h("section.pl-card.pl-stack.tight", { "aria-label": "What the answers are like" }, h("h2", "What the answers are like"), this.body);
  }

  async refresh(level = "0.95") {
    try {
      this.draw(await get(`/evaluations/${this.evaluation.id}/meters`, { level }));
    } catch (error) {
      fill(this.body, errorCard(error, () => this.refresh(level)));
    }
  }

  draw({ contestants, prompts, of, level }) {
    const names = Object.fromEntries(this.evaluation.contestants.map((one) => [one.id, one.name]));
    if (!prompts) {
      fill(this.body, h("p.pl-muted", "There is no answer yet."));
      return;
    }
    const shown = Object.keys(METERS).filter((name) => contestants.some((one) => one.meters[name]?.value !== null));
    const spans = Object.fromEntries(shown.map((name) => [name, span(contestants.map((one) => one.meters[name]))]));
    fill(this.body, table("What the answers are like", [
      { title: "Checkpoint", cell: (row) => h("strong.pl-eval-name", names[row.contestant]) },
      ...shown.map((name) => ({ title: METERS[name][0], kind: "number", hint: METERS[name][1], cell: (row) => cell(name, row, spans[name]) })),
    ], contestants), h("p.pl-muted.pl-note", `${prompts < of ? `${count(prompts)} of ${plural(of, "prompt")}, drawn by lot and the same for everybody` : plural(prompts, "prompt")}; ${percent(level)} intervals by leaving out each prompt. Below each number: the difference to the baseline on the prompts that both answered, marked where its interval leaves out 0.`));
  }
}

// Where all intervals of a meter lie.
function span(values) {
  const bounds = values.flatMap(({ value, low, high }) => [value, low, high]).filter((one) => one !== null);
  const [from, to] = [Math.min(...bounds), Math.max(...bounds)];
  return from === to ? { from: from - 1, to: to + 1 } : { from, to };
}

function cell(name, row, range) {
  const one = row.meters[name];
  if (one.value === null) return h("span.pl-muted", { title: one.reason }, "–");
  const words = one.low === null ? one.reason : `${digits(name, one.low)} to ${digits(name, one.high)}, n = ${count(one.n)}`;
  return h("div.pl-meter", { title: words }, h("span", digits(name, one.value)), intervalLine(one, { ...range, label: `${METERS[name][0]} ${digits(name, one.value)}: ${words}` }), change(name, row.against[name]));
}

// The difference to the baseline; it is told to be one where its interval leaves out 0.
function change(name, one) {
  if (!one || one.value === null) return null;
  const signed = `${one.value > 0 ? "+" : ""}${SHARES.includes(name) ? `${(100 * one.value).toFixed(1)}` : number(one.value, 3)}`.replace("-", "−");
  const words = one.low === null ? one.reason : `${number(one.low, 3)} to ${number(one.high, 3)} on ${plural(one.prompts, "prompt")}`;
  const sure = one.low !== null && (one.low > 0 || one.high < 0);
  return sure ? h("span", { title: words }, badge(signed, "idle")) : h("span.pl-muted", { title: words }, signed);
}
