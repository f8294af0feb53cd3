// What a run that forgets has forgotten and kept: both curves over steps, and a sentence that reads them.

import { get } from "./api.js";
import { lineChart } from "./charts.js";
import { fill, h, link, table } from "./dom.js";
import { stepCurve } from "./evaluation-forest.js";
import { count, number, rate } from "./format.js";
import { judgeName } from "./judge-name.js";
import { MOVING } from "./run-state.js";

const LOOKED_AT = 10; // newest evaluations of the last checkpoint
const SETS = { forget: "to be forgotten", retain: "to be retained" };
const TONES = { forget: 1, retain: 0 };

export const ofForgetting = (name) => /^(forget|retain)\//.test(name);

// `now()` is the run as it is known by then.
export class ForgettingCard {
  constructor(now) {
    this.now = now;
    this.points = new Map(); // metric -> Map of step -> value
    this.sets = {};
    this.words = h("div.pl-stack.tight", { "aria-live": "polite" });
    this.place = h("div");
    this.quality = h("div.pl-stack.tight.pl-when-filled");
    this.rows = h("div");
    this.element = h("section.pl-card.pl-stack.tight", { "aria-label": "Forgotten and kept", hidden: true },
      h("h2", "Forgotten and kept"), this.words, this.place, this.quality, h("details", h("summary", "The curves as a table"), this.rows));
  }

  take({ series, whole }) {
    const own = Object.entries(series).filter(([name]) => ofForgetting(name));
    if (whole) this.points.clear();
    for (const [name, one] of own) {
      if (!this.points.has(name)) this.points.set(name, new Map());
      one.step.forEach((step, place) => this.points.get(name).set(step, one.value[place]));
    }
    if (own.length) this.draw();
  }

  // The log says how many answers are read, and of which split.
  hear(event) {
    if (!event.payload.forgetting) return;
    this.sets = event.payload.forgetting;
    this.draw();
  }

  at = (name, step) => this.points.get(name)?.get(step) ?? null;

  draw() {
    const sets = Object.keys(SETS).filter((set) => this.points.has(`${set}/logps`));
    this.element.hidden = !sets.length;
    if (!sets.length) return;
    this.chart ||= lineChart(this.place, { title: "Log-probability of the answers", x: "Step", y: "nats a token", height: 260, legend: true });
    const rows = [];
    for (const set of sets) {
      const steps = [...this.points.get(`${set}/logps`).keys()].sort((one, other) => one - other);
      const column = (name) => steps.map((step) => this.at(`${set}/logps${name}`, step));
      this.chart.replace({ id: set, name: SETS[set], tone: TONES[set], dash: set === "retain" ? "dash" : "solid" }, steps, column(""), { low: column("/low"), high: column("/high") });
      rows.push(...steps.map((step) => ({ set, step })));
    }
    fill(this.words, sets.map((set) => h("p", this.sentence(set))), sets.includes("retain") ? null : h("p.pl-muted", "This run retains nothing, so these curves do not tell what else it lost."),
      h("p.pl-muted", this.counted()));
    this.judged();
    fill(this.rows, table("Log-probability a token by step", [
      { title: "Answers", cell: ({ set }) => SETS[set] },
      { title: "Step", kind: "number", cell: ({ step }) => count(step) },
      { title: "Nats a token", kind: "number", cell: ({ set, step }) => this.span(`${set}/logps`, step) },
      { title: "Perplexity", kind: "number", cell: ({ set, step }) => number(Math.exp(-this.at(`${set}/logps`, step)), 3) },
      { title: "Change since the start", kind: "number", cell: ({ set, step }) => this.span(`${set}/change`, step) },
    ], rows));
  }

  // Whether its answers are still good: the win rate by step of the newest evaluation that judged its checkpoints.
  async judged() {
    const run = this.now();
    if (this.asked || run.kind !== "preference" || MOVING.includes(run.state)) return;
    this.asked = true;
    const found = await judgement(run).catch(() => null); // the link leads on without it
    if (!found) return void fill(this.quality, h("p.pl-muted", "Whether its answers are still good, a judge tells: ", link("compare its checkpoints", `/evaluate?run=${run.id}`), "."));
    const { evaluation, judge, points } = found;
    const last = points.at(-1);
    const place = h("div");
    fill(this.quality, h("h3", "Judged quality"),
      h("p", `At step ${count(last.step)} its answers won ${rate(last)} of the matches against ${evaluation.contestants[0].name}, judged by ${judgeName(judge, evaluation)}: `, link(evaluation.name, `/evaluation?id=${evaluation.id}`), "."), points.length > 1 ? place : null);
    if (points.length > 1) stepCurve(place, [{ id: run.id, name: run.name, points }]);
  }

  span(name, step) {
    const [value, low, high] = ["", "/low", "/high"].map((end) => this.at(`${name}${end}`, step));
    return value === null ? "–" : [number(value, 3), low === null ? "" : h("span.pl-muted", ` (${number(low, 3)} to ${number(high, 3)})`)];
  }

  // The newest number of a set, read in plain words.
  sentence(set) {
    const steps = [...this.points.get(`${set}/logps`).keys()].sort((one, other) => one - other);
    const [first, last] = [steps[0], steps.at(-1)];
    const perplexity = (step) => number(Math.exp(-this.at(`${set}/logps`, step)), 3);
    if (last === first) return [h("strong", `Answers ${SETS[set]}`), `: perplexity ${perplexity(first)} before the first step.`];
    const [low, high] = ["low", "high"].map((end) => this.at(`${set}/change/${end}`, last));
    const verdict = low === null ? "Too few prompts to tell" : high < 0 ? (set === "forget" ? "Forgot" : "Lost some") : low > 0 ? (set === "forget" ? "Not forgotten, but likelier" : "Kept, and likelier") : set === "forget" ? "Not forgotten so far" : "Kept";
    return [h("strong", verdict), `: the perplexity of the answers ${SETS[set]} went from ${perplexity(first)} to ${perplexity(last)} by step ${count(last)}; a token changed by `, this.span(`${set}/change`, last), " nats."];
  }

  counted() {
    const words = Object.entries(this.sets).map(([set, one]) => `${count(one.answers)} of ${count(one.of)} answers ${SETS[set]} (${one.split === "validation" ? "held out" : "trained on"})`);
    return words.length ? `Read on ${words.join(" and ")}.` : "";
  }
}

// The newest evaluation that has ended and judged the run's last checkpoint, with the rates of its steps; null without.
async function judgement(run) {
  const last = run.checkpoints.reduce((one, other) => (one && one.step >= other.step ? one : other), null);
  if (!last) return null;
  const { items } = await get("/evaluations", { checkpoint_id: last.id, limit: LOOKED_AT });
  for (const evaluation of items.filter((one) => one.state === "succeeded")) {
    const { tables } = await get(`/evaluations/${evaluation.id}/report`);
    for (const one of tables) {
      const points = one.by_step.filter((point) => point.run_id === run.id && point.rate !== null);
      if (points.length) return { evaluation, judge: one.judge, points };
    }
  }
  return null;
}
