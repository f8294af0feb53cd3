// The report: win rates by judge as a forest plot and a table, contestants, position bias, agreement, doubts.

import { get } from "./api.js";
import { forestPlot } from "./charts.js";
import { badge, errorCard, fill, h, link, skeleton, table } from "./dom.js";
import { count, number, percent, plural, rate } from "./format.js";
import { param, setParam } from "./frame.js";
import { benchmarks } from "./evaluation-benchmarks.js";
import { against, order } from "./evaluation-findings.js";
import { baselineForest, baselineRates, bySteps, stepCurve, stepTable } from "./evaluation-forest.js";
import { training } from "./evaluation-training.js";
import { judgeName } from "./judge-name.js";

const TIES = [
  ["half", "Tie = half a win"],
  ["drop", "Leave ties out"],
  ["shown", "Tie = not won"],
];
const METHODS = {
  wilson: "Wilson",
  bca: "bootstrap over prompts (BCa)",
  percentile: "bootstrap over prompts (percentile)",
  wilson_prompts: "Wilson, one trial a prompt",
  none: "–",
};

export class Report {
  constructor(evaluation) {
    this.evaluation = evaluation;
    this.id = evaluation.id;
    this.ties = param("ties") || "half";
    this.level = param("level") || "0.95";
    this.body = h("div.pl-stack", skeleton(4));
    this.element = h("section.pl-stack", this.controls(), this.body);
    this.plots = [];
  }

  controls() {
    const ties = TIES.map(([value, words]) => h("button", { type: "button", value, "aria-pressed": String(value === this.ties), onclick: () => this.choose("ties", value) }, words));
    const level = h("select.pl-input.pl-eval-level", { "aria-label": "Level of the intervals", onchange: () => this.choose("level", level.value) },
      ["0.8", "0.9", "0.95", "0.99"].map((one) => h("option", { value: one, selected: one === this.level }, `${Number(one) * 100} % intervals`)));
    this.buttons = ties;
    return h("div.pl-row.between", h("h2", "Win rates"), h("div.pl-row", h("div.pl-segments", { role: "group", "aria-label": "What a tie counts" }, ties), level));
  }

  choose(name, value) {
    this[name] = value;
    setParam(name, value);
    for (const one of this.buttons) one.setAttribute("aria-pressed", String(one.value === this.ties));
    this.refresh();
  }

  async refresh() {
    const turn = (this.turn = (this.turn || 0) + 1);
    try {
      const report = await get(`/evaluations/${this.id}/report`, { ties: this.ties, level: this.level });
      if (turn === this.turn) this.draw(report);
    } catch (error) {
      if (turn === this.turn) fill(this.body, errorCard(error, () => this.refresh()));
    }
  }

  draw(report) {
    for (const plot of this.plots) plot.remove();
    this.plots = [];
    this.contestants = report.contestants;
    const names = Object.fromEntries(report.contestants.map((one) => [one.id, one.name]));
    fill(
      this.body,
      report.warnings.map((words) => h("div.pl-card.warn", words)),
      benchmarks(report),
      report.tables.map((one) => this.table(one, names)),
      report.agreement.map((one) => h("p.pl-muted", agreement(one, judgeName(one.judge, this.evaluation)))),
      training(report, this.evaluation, () => this.refresh()),
      h("h2", "Contestants"),
      contestants(report.contestants),
    );
  }

  table(one, names) {
    const place = h("div");
    const known = one.pairs.filter((pair) => pair.win_rate.rate !== null);
    const [base] = this.contestants;
    const rates = baselineRates(one, names, base.id);
    const runs = bySteps(rates, this.contestants);
    const steps = runs.length ? h("div") : null;
    requestAnimationFrame(() => {
      if (rates.length) this.plots.push(baselineForest(place, rates, base.name));
      else if (known.length) this.plots.push(forestPlot(place, { x: "Win rate of the one named first", rows: known.map((pair) => ({ name: `${short(names[pair.first])} against ${short(names[pair.second])}`, ...pair.win_rate })) }));
      if (steps) this.plots.push(stepCurve(steps, runs));
    });
    const [{ win_rate: any }] = one.pairs;
    const people = one.source === "person";
    return h(
      "section.pl-card.pl-stack.tight",
      h("div.pl-row.between", h("h2", people ? "Judged by people" : `Judged by ${judgeName(one.judge, this.evaluation)}`),
        people ? null : link("Report card of this judge", `/judge?${new URLSearchParams({ evaluation: this.id, judge: one.judge })}`)),
      one.statements.map((words) => h("p.pl-card.warn", { role: "note" }, words)),
      known.length ? place : h("p.pl-muted", people ? "Nobody has judged a match yet." : any.reason),
      steps,
      steps && stepTable(runs),
      table(`Win rates by ${judgeName(one.judge, this.evaluation)}`, columns(names, people), one.pairs),
      against(one, names),
      order(one, names, this.plots),
      one.consistency && one.verdicts ? trust(one) : null,
      h("p.pl-muted.pl-note", `${percent(any.level)} intervals${methods(known)}, seed ${any.seed}. The prompt is the unit: several matches on a prompt do not count as independent.`,
        people && one.shown_first.rate !== null ? ` The answer shown first won ${rate(one.shown_first)}.` : ""),
    );
  }
}

// How far an automatic judge can be trusted: does it keep its word when the sides change, and does it answer at all?
function trust(one) {
  const share = (found) => (found.rate === null ? h("span.pl-muted", { title: found.reason }, "–") : rate(found));
  const rows = [
    ["Same verdict in both side orders", share(one.consistency)],
    ["The answer shown first won", [share(one.shown_first), h("span.pl-muted", " (50 % without position bias)")]],
    ["Replies without a verdict", [one.unreadable ? badge(count(one.unreadable), "warn") : "0", h("span.pl-muted", ` of ${plural(one.verdicts, "verdict")}`)]],
    one.one_sided ? ["Decided in one side order only", [badge(count(one.one_sided), "warn"), h("span.pl-muted", one.one_sided === 1 ? " match, left out" : " matches, left out")]] : null,
  ].filter(Boolean);
  return h("dl.pl-facts.pl-eval-bias", rows.map(([name, value]) => [h("dt", name), h("dd", value)]));
}

// How the intervals were made, each way once.
const methods = (pairs) => {
  const used = [...new Set(pairs.map((pair) => METHODS[pair.win_rate.method]))];
  return used.length ? ` (${used.join("; ")})` : "";
};

function columns(names, people) {
  return [
    { title: "Pair", cell: (pair) => h("div.pl-wrap.pl-eval-pair", h("strong", names[pair.first]), h("span.pl-muted", " against "), names[pair.second]) },
    { title: "Win rate", cell: (pair) => (pair.win_rate.rate === null ? h("span.pl-muted", { title: pair.win_rate.reason }, "–") : h("strong", percent(pair.win_rate.rate, 1))), kind: "number" },
    { title: "Interval", cell: ({ win_rate: one }) => (one.low === null ? "–" : h("span", { title: METHODS[one.method] }, `${(one.low * 100).toFixed(1)}–${percent(one.high, 1)}`)), kind: "number" },
    { title: "Matches", cell: (pair) => count(pair.win_rate.n), kind: "number", hint: "Matches with an answer (n)" },
    { title: "Prompts", cell: (pair) => count(pair.win_rate.prompts), kind: "number", hint: "Independent prompts behind the interval" },
    { title: "Won · tied · lost", cell: ({ win_rate: one }) => `${count(one.wins)} · ${count(one.ties)} · ${count(one.losses)}`, kind: "number" },
    people
      ? { title: "Both bad", cell: (pair) => count(pair.both_bad), kind: "number", hint: "They count as ties" }
      : { title: "Contradicted", cell: (pair) => count(pair.contradicted), kind: "number", hint: "Matches whose verdict changed with the side order; they count as ties" },
    { title: "Undecided", cell: undecided, kind: "number" },
  ];
}

function undecided(pair) {
  const parts = Object.entries(pair.undecided);
  if (!parts.length) return "0";
  const total = parts.reduce((sum, [, amount]) => sum + amount, 0);
  return h("span", { title: parts.map(([reason, amount]) => `${amount} × ${reason}`).join("\n") }, badge(count(total), "warn"));
}

function contestants(rows) {
  const scores = [...new Set(rows.flatMap((row) => Object.keys(row.scores)))];
  const mean = (one, digits = 3) => (one.mean === null ? "–" : h("span", { title: one.low === null ? one.reason : `${number(one.low, digits)} to ${number(one.high, digits)}, ${percent(one.level)} interval, n = ${one.n}` },
    number(one.mean, digits), one.low === null ? "" : h("span.pl-muted", ` (${number(one.low, digits)}–${number(one.high, digits)})`)));
  return table("Contestants", [
    { title: "Checkpoint", cell: (row) => h("span.pl-eval-name", h("a", { href: `/checkpoint?id=${row.id}` }, row.name), row.toy ? [" ", badge("toy", "warn")] : null) },
    { title: "Answers", cell: (row) => count(row.responses), kind: "number" },
    { title: "Length", cell: (row) => mean(row.length), kind: "number", hint: "Mean characters of an answer, with its interval" },
    { title: "Cut off", cell: (row) => count(row.cut), kind: "number", hint: "Answers that ended at the longest length" },
    { title: "Failed", cell: failed, kind: "number" },
    ...scores.map((name) => ({ title: name.charAt(0).toUpperCase() + name.slice(1), cell: (row) => (row.scores[name] ? mean(row.scores[name]) : "–"), kind: "number", hint: "Mean of what the judge measured, with its interval" })),
  ], rows);
}

function failed(row) {
  const parts = Object.entries(row.failed);
  if (!parts.length) return "0";
  return h("span", { title: parts.map(([reason, amount]) => `${amount} × ${reason}`).join("\n") }, badge(count(parts.reduce((sum, [, amount]) => sum + amount, 0)), "bad"));
}

const agreement = ({ n, agreed, kappa }, judge) =>
  n ? `People and ${judge} named the same winner in ${count(agreed)} of ${plural(n, "match", "matches")}${kappa === null ? "" : ` (Cohen's κ ${number(kappa, 2)})`}.` : "People and the judge have no match in common yet.";

const short = (name) => (name.length > 28 ? `${name.slice(0, 27)}…` : name);
