// The charts of a run: what preference training is judged by first, everything else that it reports after that.

import { button, h } from "./dom.js";
import { lineChart, plotly, runTone } from "./charts.js";
import { ofForgetting } from "./run-forgetting.js";

const EVALUATED = "eval/";
// title, y, names
const PANELS = [
  ["Loss", "nats", ["loss"]],
  ["Accuracy", "share right", ["rewards/accuracies"]],
  ["Accuracy of scores", "share of pairs right", ["accuracy"]],
  ["Margin", "reward difference", ["rewards/margins"]],
  ["Margin of scores", "score difference", ["margin"]],
  ["Disagreement of heads", "deviation of margins", ["disagreement"]],
  ["Scores", "score", ["mean_reward", "min_reward", "max_reward"]],
  ["Rewards", "reward", ["rewards/chosen", "rewards/rejected"]],
  ["Log-probabilities", "nats a response", ["logps/chosen", "logps/rejected"]],
  ["Masks", "mean over the tokens", ["own/reward_mask", "own/kl_mask"]],
  ["Masked out", "share of tokens at 0", ["own/reward_mask/zeros", "own/kl_mask/zeros"]],
  ["Gradient norm", "norm before clipping", ["grad_norm"]],
  ["Learning rate", "", ["learning_rate"]],
  ["Speed", "tokens a second", ["throughput/tokens_per_second"]],
];
const MORE = {
  entropy: ["Entropy of responses", "nats a token"],
  mean_token_accuracy: ["Tokens that no other is likelier than", "share of the chosen or demonstrated"],
  kl: ["Log-ratio of answers to other prompts", "nats"],
  "logits/chosen": ["Mean logit, chosen", ""],
  "logits/rejected": ["Mean logit, rejected", ""],
  aux_loss: ["Router loss", "even routing is lowest"],
  num_tokens: ["Tokens trained on", ""],
  "throughput/examples_per_second": ["Examples a second", ""],
  "throughput/sharing_factor": ["Tokens of the sequences per token computed", ""],
  "throughput/padding_share": ["Share of padding", ""],
  "throughput/mfu": ["Share of the accelerator's peak speed", ""],
  "memory/peak_gb": ["Peak memory", "GB"],
  "memory/peak_gib": ["Peak memory, in GiB", "GiB"], // as earlier versions recorded it
};
const WORDS = { mean_reward: "mean", min_reward: "lowest", max_reward: "highest" };
const DASHES = ["solid", "dot", "dashdot"];
const SMOOTH = 0.8;

export class Charts {
  constructor(run) {
    this.run = run;
    plotly().catch(() => {}); // fetched while one waits for the first step; a chart that misses it says so itself
    this.panels = new Map(); // title -> chart
    this.points = 0; // of the longest line
    this.lengths = new Map();
    this.banded = new Set(); // lines drawn from buckets
    this.place = h("div.pl-run-charts");
    this.more = h("div.pl-run-charts");
    this.waiting = h("p.pl-muted");
    const toggle = button("Smooth", () => {
      const smooth = toggle.getAttribute("aria-pressed") !== "true";
      toggle.setAttribute("aria-pressed", String(smooth));
      this.panels.forEach((chart) => { chart.smoothing = smooth ? SMOOTH : 0; chart.draw(); });
      this.smooth = smooth;
    }, { kind: "small", title: "Draw a moving average over the raw line" });
    toggle.setAttribute("aria-pressed", "false");
    this.rest = h("details.pl-run-rest", { hidden: true }, h("summary", "More metrics"), this.more);
    this.element = h("section.pl-card.pl-stack", { "aria-label": "Metrics" }, h("div.pl-row.between", h("h2", "Metrics"), toggle), this.waiting, this.place, this.rest);
  }

  // All there is, in place of what is drawn.
  replace({ series }) {
    this.lengths.clear();
    this.banded.clear();
    this.put(series, (chart, line, one) => chart.replace(line, one.step, one.value, { low: one.low, high: one.high }));
  }

  // What has arrived since.
  append({ series }) {
    this.put(series, (chart, line, one) => {
      // A line from the ladder has a band; raw points that follow it are their own band.
      const band = one.low.length || !this.banded.has(line.id) ? { low: one.low, high: one.high } : { low: one.value, high: one.value };
      chart.append(line, one.step, one.value, band);
    });
  }

  put(series, draw) {
    for (const [name, one] of Object.entries(series)) {
      if (ofForgetting(name)) continue; // has a card of its own
      if (one.low.length) this.banded.add(name);
      this.lengths.set(name, (this.lengths.get(name) || 0) + one.step.length);
      draw(this.chartOf(name), this.line(name), one);
    }
    this.points = Math.max(0, ...this.lengths.values());
    if (Object.keys(series).length) this.waiting.remove();
  }

  // What stands where nothing is drawn yet.
  await(moving) {
    this.waiting.textContent = moving ? "The first numbers come with the first step." : "It ended before its first step.";
  }

  chartOf(name) {
    const plain = name.replace(EVALUATED, "");
    const known = PANELS.find(([, , names]) => names.includes(plain));
    const [title, y] = known || [...(MORE[plain] || [plain, ""])];
    if (!this.panels.has(title)) this.panels.set(title, this.make(title, y, known));
    return this.panels.get(title);
  }

  make(title, y, known) {
    const cell = h("div.pl-run-chart", { dataset: { order: known ? PANELS.indexOf(known) : PANELS.length } });
    const place = known ? this.place : this.more;
    if (!known) this.rest.hidden = false;
    const later = [...place.children].find((other) => Number(other.dataset.order) > Number(cell.dataset.order));
    place.insertBefore(cell, later || null);
    return lineChart(cell, { title, x: "Step", y, height: 230, legend: known ? undefined : false, smoothing: this.smooth ? SMOOTH : 0 });
  }

  // The first metric of a panel has the run's own color, held-out and further ones those that follow it in the palette.
  line(name) {
    const plain = name.replace(EVALUATED, "");
    const held = name.startsWith(EVALUATED);
    const panel = PANELS.find(([, , names]) => names.includes(plain));
    const place = panel ? panel[2].indexOf(plain) : 0;
    const word = panel && panel[2].length > 1 ? WORDS[plain] || plain.split("/").pop() : held ? "" : "training";
    return {
      id: name,
      name: [held ? "held-out" : "", word].filter(Boolean).join(" ") || plain,
      tone: runTone(this.run.id) + 2 * place + Number(held),
      dash: held ? "dash" : DASHES[place],
    };
  }
}
