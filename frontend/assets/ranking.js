// The ranking of an evaluation's contestants: strengths, the ranks that verdicts allow, and what strengths explain.

import { get } from "./api.js";
import { chart, colorAt, escapeMarkup, variable } from "./charts.js";
import { empty, fill, h, link, table } from "./dom.js";
import { order } from "./evaluation-findings.js";
import { count, percent, plural } from "./format.js";
import { actions, param, setParam, title } from "./frame.js";
import { judgeName } from "./judge-name.js";
import { load } from "./live.js";
import { stylesheet } from "./stylesheet.js";

const FEWEST = 3; // contestants that can be ranked
const KINDS = [
  ["observed", "Observed", "How often the row beat the column, a tie half a win"],
  ["predicted", "Predicted", "What the strengths would give"],
  ["gap", "Observed less predicted", "Where it is far from 0, one order does not explain what happened"],
];

export async function mount(element) {
  const page = h("div.pl-page.pl-stack");
  element.append(page);
  await stylesheet("evaluate.css");
  const id = param("id");
  if (!id) {
    page.append(empty("Which evaluation?", "The address names none.", link("All evaluations", "/evaluate", "pl-button primary")));
    return;
  }
  await load(page, () => get(`/evaluations/${encodeURIComponent(id)}/report`), (report) => new RankingPage(page, report).draw());
}

class RankingPage {
  constructor(page, report) {
    this.page = page;
    this.report = report;
    this.names = Object.fromEntries(report.contestants.map((one) => [one.id, one.name]));
    const enough = report.contestants.length >= FEWEST; // of fewer there is no ranking, whatever is said of a judge
    this.ranked = report.tables.filter((one) => one.ranking || (enough && one.statements.length));
    this.judge = param("judge") || this.ranked[0]?.judge;
    this.kind = "observed";
    this.plots = [];
  }

  draw() {
    const { evaluation } = this.report;
    title(`Ranking: ${evaluation.name}`);
    actions(link("The evaluation", `/evaluation?id=${evaluation.id}`, "pl-button"));
    const one = this.ranked.find((table) => table.judge === this.judge) || this.ranked[0];
    for (const plot of this.plots) plot.remove();
    this.plots = [];
    if (!one) {
      fill(this.page, empty("Nothing is ranked yet", "A ranking needs three contestants and verdicts on their matches.", link("The evaluation", `/evaluation?id=${evaluation.id}`, "pl-button primary")));
      return;
    }
    if (!one.ranking) {
      fill(this.page, this.judges(one), one.statements.map((words) => h("p.pl-card.warn", { role: "note" }, words)));
      return;
    }
    fill(this.page, this.judges(one), h("section.pl-card.pl-stack.tight", order(one, this.names, this.plots)), one.ranking.standings.length ? this.matrix(one.ranking) : null);
  }

  judges(one) {
    if (this.ranked.length < 2) return h("p.pl-muted", `Judged by ${judgeName(one.judge, this.report.evaluation)}.`);
    const choose = (judge) => {
      this.judge = judge;
      setParam("judge", judge);
      this.draw();
    };
    return h("div.pl-segments", { role: "group", "aria-label": "Judge" }, this.ranked.map(({ judge }) =>
      h("button", { type: "button", "aria-pressed": String(judge === one.judge), onclick: () => choose(judge) }, judgeName(judge, this.report.evaluation))));
  }

  // Who beat whom how often, in the order of the ranking.
  matrix(ranking) {
    const ids = this.report.contestants.map((one) => one.id);
    const places = ranking.standings.map((row) => ids.indexOf(row.contestant));
    const value = (one, other) => {
      const [seen, said] = [ranking.observed[one][other], ranking.predicted[one][other]];
      if (one === other || seen === null) return null;
      return { observed: seen, predicted: said, gap: said === null ? null : seen - said }[this.kind];
    };
    const cells = places.map((one) => places.map((other) => value(one, other)));
    const [, , words] = KINDS.find(([kind]) => kind === this.kind);
    const place = h("div");
    const plot = heatMap(place, { names: places.map((one) => this.report.contestants[one].name), cells, gap: this.kind === "gap", label: words });
    this.plots.push(plot);
    const choose = (kind) => {
      this.kind = kind;
      this.draw();
      document.querySelector(`button[value="${kind}"]`)?.focus();
    };
    const buttons = KINDS.map(([kind, name]) => h("button", { type: "button", value: kind, "aria-pressed": String(kind === this.kind), onclick: () => choose(kind) }, name));
    return h("section.pl-card.pl-stack.tight", { "aria-label": "Who beats whom" }, h("h2", "Who beats whom"), h("div.pl-segments", { role: "group", "aria-label": "What the cells show" }, buttons), h("p.pl-muted", `${words}. Rows and columns are numbered by rank.`), place,
      table("Who beats whom", [
        { title: "Row against column", cell: (row) => h("strong.pl-eval-name", `${row.place + 1} ${row.name}`) },
        ...places.map((one, index) => ({ title: String(index + 1), kind: "number", hint: this.report.contestants[one].name, cell: (row) => shown(row.values[index], this.kind) })),
      ], cells.map((values, index) => ({ values, place: index, name: this.report.contestants[places[index]].name }))),
      h("p.pl-muted.pl-note", `${plural(ranking.n, "match", "matches")} on ${plural(ranking.prompts, "prompt")}${ranking.rounds ? `, ${percent(ranking.level)} intervals of strengths from ${count(ranking.rounds)} rounds, seed ${ranking.seed}` : ""}.`));
  }
}

// Points of a hundred; what rounds to nothing has no sign.
const points = (value, digits) => (100 * value).toFixed(digits).replace(/^-(?=0\.?0*$)/, "").replace("-", "−");
const signed = (words) => (/^(−|0\.?0*$)/.test(words) ? words : `+${words}`);
const shown = (value, kind) => (value === null ? "–" : kind === "gap" ? signed(points(value, 1)) : percent(value, 1));

const FULL = 0.5; // of a color over the surface: on more, the numbers could not be read in both themes
const channels = (hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
const pale = (color) => `rgb(${channels(color).map((own, at) => Math.round(FULL * own + (1 - FULL) * channels(variable("--pl-surface"))[at])).join(", ")})`;

// A square of cells; a gap's color turns at 0, a rate's at one half.
function heatMap(place, { names, cells, gap, label }) {
  const axis = () => ({ type: "category", tickfont: { size: 11, color: variable("--pl-muted") }, showgrid: false, fixedrange: true, tickvals: names.map((_, index) => index + 1), title: { text: "Rank", font: { size: 12, color: variable("--pl-muted") } } });
  const small = names.length > 10;
  return chart(place, label, () => ({
    x: "", y: "", height: Math.min(560, 120 + 46 * names.length),
    data: [{
      type: "heatmap", x: names.map((_, index) => String(index + 1)), y: names.map((_, index) => String(index + 1)), z: cells, xgap: 2, ygap: 2, hoverongaps: false,
      zmin: gap ? -0.3 : 0, zmax: gap ? 0.3 : 1, colorscale: [[0, pale(colorAt(1))], [0.5, variable("--pl-surface")], [1, pale(colorAt(0))]],
      colorbar: { thickness: 10, tickformat: gap ? "+.0%" : ".0%", tickfont: { size: 11, color: variable("--pl-muted") }, outlinewidth: 0 },
      text: cells.map((row) => row.map((value) => (value === null || small ? "" : points(value, 0)))), texttemplate: "%{text}", textfont: { size: 12, color: variable("--pl-text") },
      customdata: cells.map((row, one) => row.map((_, other) => `${escapeMarkup(names[one])} against ${escapeMarkup(names[other])}`)), hovertemplate: "%{customdata}: %{z:.1%}<extra></extra>",
    }],
    more: { xaxis: { ...axis(), side: "bottom" }, yaxis: { ...axis(), autorange: "reversed" }, hovermode: "closest", margin: { l: 44, r: 8, t: 8, b: 42 } },
  }));
}
