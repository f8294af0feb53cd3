// How much people agree, with intervals and what each number means; and how reliable each is, reckoned as a stored job.

import { get, newKey, post } from "./api.js";
import { button, errorCard, fill, h, link, progress, skeleton, stateBadge, table, toastError } from "./dom.js";
import { ago, count, number, percent, plural } from "./format.js";
import { intervalLine } from "./interval.js";
import { latest, live } from "./live.js";

const MEANING = {
  percent: ["Percent agreement", "How often two people say the same of an item. Chance helps: with few choices it is high for nothing."],
  cohen_kappa: ["Cohen’s κ", "Agreement of two people beyond what chance gives, each with their own habits. 0 is chance, 1 is perfect."],
  fleiss_kappa: ["Fleiss’ κ", "The same for several people who label equally often. 0 is chance, 1 is perfect."],
  krippendorff_alpha_nominal: ["Krippendorff’s α, nominal", "For any number of people and missing labels; every difference counts the same."],
  krippendorff_alpha_ordinal: ["Krippendorff’s α, ordinal", "The same, but “slightly better” against “better” counts less than against “much worse”."],
  krippendorff_alpha_interval: ["Krippendorff’s α, interval", "The same, the steps of the scale taken as equally wide."],
  gwet_ac1: ["Gwet’s AC1", "Beyond chance, too; does not collapse where nearly all answers are the same."],
};
const RELIABLE = 0.8; // Krippendorff's own customary bounds
const TENTATIVE = 0.667;
const ALIKE = 0.75; // agreement from which on low coefficients are a paradox of prevalence
const APART = 0.3;

export class Agreement {
  // `scope()` is what the numbers are of, as it is now.
  constructor(scope) {
    this.scope = scope;
    this.place = h("div.pl-stack", skeleton(5));
    this.jobs = new Reliabilities(scope().path);
    this.element = h("div.pl-stack", this.place, this.jobs.element);
    this.drawn = "";
    this.newest = latest();
  }

  async refresh() {
    const scope = this.scope();
    this.jobs.start();
    const current = this.newest();
    try {
      const found = await get(`${scope.path}/agreement`);
      const state = JSON.stringify(found);
      if (!current() || state === this.drawn) return;
      this.drawn = state;
      fill(this.place, draw(found, scope));
    } catch (error) {
      if (current() && !this.drawn) fill(this.place, errorCard(error, () => this.refresh()));
    }
  }

  remove() {
    this.jobs.stop();
  }
}

function draw(found, scope) {
  const rows = found.coefficients.filter((one) => MEANING[one.name]);
  const known = rows.some((one) => one.value !== null);
  const why = scope.single || "No item has labels of two people yet.";
  return [
    known ? h("section.pl-card.pl-stack.tight", h("h2", "How much people agree"), h("p", verdictOf(rows)), table("Agreement", COLUMNS, rows), h("p.pl-muted.pl-note", note(rows)), pairs(found))
      : h("section.pl-card", h("h2", "How much people agree"), h("p.pl-muted", why)),
    scope.settle ? h("div.pl-row", link("Settle disagreements", scope.settle, "pl-button")) : "",
  ];
}

// Every two of those who judged most; of two alone the table above says it.
function pairs({ pairs: found, annotators, pairs_of: many }) {
  if (annotators < 3 || !found.length) return null;
  return h("details", h("summary", `Of every two annotators${many < annotators ? `, among the ${count(many)} who judged most` : ""}`), table("Pairs of annotators", PAIRS, found));
}

// One sentence that can be acted on.
function verdictOf(rows) {
  const of = (name) => rows.find((one) => one.name === name && one.value !== null);
  const [same, alpha] = [of("percent"), of("krippendorff_alpha_ordinal") || of("krippendorff_alpha_nominal")];
  const spread = same && same.low !== null ? `${percent(same.low)} to ${percent(same.high)}, ` : "";
  const first = same ? `Two people who judge the same item say the same ${percent(same.value)} of the time (${spread}${plural(same.n, "item")}). ` : "";
  if (!alpha) return first;
  const steady = of("gwet_ac1");
  if (steady && same.value >= ALIKE && steady.value - alpha.value > APART) return `${first}Nearly all answers are the same, so chance alone explains most of that, and κ and α collapse: Gwet’s AC1 (${number(steady.value, 2)}) is the one to read here.`;
  if (alpha.low !== null && alpha.low >= RELIABLE) return `${first}That is reliable by the customary bound of 0.8.`;
  if (alpha.value >= TENTATIVE) return `${first}Beyond chance that is enough for tentative conclusions (0.667 to 0.8).`;
  return `${first}Beyond chance that is little (below 0.667). For preferences it is common: read the disagreements, sharpen the guidelines, or want more labels an item.`;
}

const range = ({ name, low, high }) => (name === "percent" ? `${percent(low)} to ${percent(high)}` : `${number(low, 2)} to ${number(high, 2)}`);
const note = ([one]) => (one ? `${percent(one.level)} intervals by drawing whole items ${plural(one.rounds, "time")}, seed ${one.seed}; n = ${plural(one.n, "item")} with labels of two people or more.` : "");

const within = (one, words) => (one.value === null ? h("span.pl-muted", { title: one.reason }, "–") : [words(one.value), one.low === null ? null : h("span.pl-muted", ` ${words(one.low)} to ${words(one.high)}`)]);
const PAIRS = [
  { title: "Annotators", cell: (one) => h("span.pl-snug", `${one.first.name} and ${one.second.name}`) },
  { title: "Items", kind: "number", cell: (one) => count(one.kappa.n), hint: "Which both judged" },
  { title: "Say the same", kind: "number", cell: (one) => within(one.percent, percent) },
  { title: "Cohen’s κ", kind: "number", cell: (one) => within(one.kappa, (value) => number(value, 2)) },
];

const COLUMNS = [
  { title: "Measure", cell: (one) => h("strong", MEANING[one.name][0]) },
  { title: "Value", kind: "number", cell: (one) => (one.value === null ? h("span.pl-muted", { title: one.reason }, "–") : one.name === "percent" ? percent(one.value, 1) : number(one.value, 3)) },
  { title: "Interval", cell: (one) => (one.low === null ? h("span.pl-muted", one.reason || "–") : h("div.pl-rate-cell", h("span", range(one)), intervalLine(one, { from: -0.2, mark: 0, label: `${number(one.value, 2)}, from ${number(one.low, 2)} to ${number(one.high, 2)}` }))) },
  { title: "What it means", cell: (one) => h("span.pl-wrap.pl-muted", MEANING[one.name][1]) },
];

// Reliabilities take a while: a stored job, started by hand, watched while it works.
class Reliabilities {
  constructor(path) {
    this.path = path;
    this.place = h("div.pl-stack.tight", skeleton(2));
    this.element = h("section.pl-card.pl-stack.tight", h("h2", "How reliable each person is"), h("p.pl-muted", "Two models weigh people by how well they fit the others: Dawid and Skene’s for answers, Crowd-BT for pairs. They take all labels at once, so they are reckoned on demand and kept."), this.place);
    this.polling = null;
  }

  start() {
    this.polling ||= live((signal) => this.refresh(signal), { seconds: 1, slowest: 15, onerror: (error) => fill(this.place, errorCard(error)) });
  }

  stop() {
    this.polling?.stop();
  }

  async refresh(signal) {
    const { items } = await get(`${this.path}/reliabilities`, { limit: 1 }, { signal });
    const [job] = items;
    fill(this.place, job ? this.told(job) : this.nothing());
    return Boolean(job) && ["queued", "starting", "running", "stopping"].includes(job.state);
  }

  async act(ask) {
    try {
      await ask();
    } catch (error) {
      toastError(error);
    }
    this.polling.now();
  }

  begin(words) {
    return button(words, () => this.act(() => post(`${this.path}/reliabilities`, undefined, { key: newKey() })), { kind: "small" });
  }

  nothing() {
    return h("div.pl-row", this.begin("Reckon now"), h("span.pl-muted", "Nothing is reckoned yet."));
  }

  told(job) {
    const moving = ["queued", "starting", "running", "stopping"].includes(job.state);
    const head = h("div.pl-row", stateBadge(job.state), h("span.pl-muted", moving ? `${percent(job.total ? job.done / job.total : 0)} done` : ago(job.finished_at)),
      moving ? button("Cancel", () => this.act(() => post(`/reliabilities/${job.id}/cancel`)), { kind: "small" }) : this.begin("Reckon anew"));
    if (moving) return [head, progress(job.done, job.total, "Reckoning")];
    if (!job.result) return [head, h("p", job.reason || "It ended without a result.", job.remedy ? h("span.pl-muted", ` ${job.remedy}`) : null)];
    const reasons = Object.entries(job.result.reasons).map(([model, why]) => h("p.pl-muted.pl-note", `${MODELS[model] || model}: ${why}`));
    const rounds = Object.entries(job.result.rounds || {}).map(([model, many]) => `${MODELS[model] || model} in ${plural(many, "sample")}`);
    const drawn = rounds.length ? `Intervals of ${percent(job.result.level)}: whole items drawn again and again, ${rounds.join(", ")}, seed ${job.result.seed}.` : "This estimate has no intervals yet: reckon anew.";
    const basis = `From ${plural(job.result.labels, "label")} of ${plural(job.result.items, "item")}. Of somebody with few labels both models say little but what they assume of everybody.`;
    return [head, table("Reliabilities", PEOPLE, job.result.annotators), h("p.pl-muted.pl-note", basis), h("p.pl-muted.pl-note", drawn), reasons];
  }
}

const MODELS = { dawid_skene: "Dawid and Skene", crowd_bt: "Crowd-BT" };
const PEOPLE = [
  { title: "Annotator", cell: (one) => h("strong.pl-snug", one.name) },
  { title: "Labels", kind: "number", cell: (one) => count(one.labels), hint: "What both numbers rest on" },
  { title: "Dawid–Skene accuracy", cell: (one) => share(one.accuracy, one.accuracy_bounds), hint: "How often they would name the right answer" },
  { title: "Crowd-BT reliability", cell: (one) => share(one.reliability, one.reliability_bounds), hint: "How often they would choose the better of two; 50 % is chance" },
];

function share(value, bounds) {
  if (value === null || value === undefined) return "–";
  const { low = null, high = null, reason = null } = bounds || {};
  const reach = low === null ? null : `${percent(low, 1)} to ${percent(high, 1)}`;
  return h("div.pl-rate-cell", { title: reason || null }, percent(value, 1), intervalLine({ value, low, high }, { mark: 0.5, label: reach ? `${percent(value, 1)}, ${reach}` : percent(value, 1) }), reach ? h("small.pl-muted", reach) : null);
}
