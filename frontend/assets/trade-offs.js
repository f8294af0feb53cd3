// What contestants gain in one respect and lose in another: two measures as axes, the front, and weights between them.

import { get } from "./api.js";
import { chart, colorAt, escapeMarkup, runTones, variable } from "./charts.js";
import { badge, empty, field, fill, h, link, table } from "./dom.js";
import { number, percent } from "./format.js";
import { actions, param, setParam, title } from "./frame.js";
import { frontier } from "./frontier.js";
import { divergence } from "./divergence.js";
import { load } from "./live.js";
import { bounds, front, measures, written } from "./measures.js";
import { stylesheet } from "./stylesheet.js";

export async function mount(element) {
  const page = h("div.pl-page.pl-stack");
  element.append(page);
  await stylesheet("evaluate.css");
  const id = param("id");
  if (!id) {
    page.append(empty("Which evaluation?", "The address names none.", link("All evaluations", "/evaluate", "pl-button primary")));
    return;
  }
  const ask = () => Promise.all([...["report", "meters", "divergences"].map((what) => get(`/evaluations/${encodeURIComponent(id)}/${what}`)), get("/evaluations")]);
  await load(page, ask, ([report, meters, divergences, evaluations]) => {
    new TradeOffs(page, report, measures(report, meters, divergences.items)).start();
    page.append(frontier(report, evaluations.items), divergence(report, divergences.items));
  });
}

class TradeOffs {
  constructor(page, report, found) {
    this.page = page;
    this.report = report;
    this.measures = found;
    this.weight = Number(param("weight") ?? 50);
  }

  start() {
    const { evaluation } = this.report;
    title(`Trade-offs: ${evaluation.name}`);
    actions(link("The evaluation", `/evaluation?id=${evaluation.id}`, "pl-button"));
    if (this.measures.length < 2) {
      fill(this.page, empty("Nothing to weigh yet", "Two things must be measured of two contestants or more: let them answer and be judged first.", link("The evaluation", `/evaluation?id=${evaluation.id}`, "pl-button primary")));
      return;
    }
    const scores = this.measures.filter((one) => one.key.startsWith("score:"));
    const usual = scores.length > 1 ? scores : this.measures;
    this.x = this.axis("x", "First objective", usual[0]);
    this.y = this.axis("y", "Second objective", usual[1]);
    this.slider = h("input", { type: "range", min: 0, max: 100, step: 5, value: this.weight, oninput: () => this.weigh(), "aria-describedby": "pl-weights" });
    this.words = h("p.pl-muted", { id: "pl-weights", "aria-live": "polite" });
    this.place = h("div.pl-eval-tall");
    this.rows = h("div");
    this.page.append(
      h("section.pl-card.pl-stack.tight", h("div.pl-grid", this.x.element, this.y.element), field("Weight of the second objective", this.slider), this.words, this.place),
      h("section.pl-card.pl-stack.tight", h("h2", "Contestants by weighted sum"), this.rows),
    );
    this.plot = chart(this.place, "Two objectives of every contestant", () => this.figure());
    this.draw();
  }

  axis(name, label, usual) {
    const chosen = this.measures.find((one) => one.key === param(name)) || usual;
    const choice = h("select", { onchange: () => this.changed(name, choice.value) }, this.measures.map((one) => h("option", { value: one.key, selected: one === chosen }, one.name)));
    const less = h("input", { type: "checkbox", checked: chosen.less, onchange: () => this.draw() });
    return { element: h("div.pl-stack.tight", field(label, choice), h("label.pl-row", less, "Less is better")), less, choice };
  }

  changed(name, key) {
    setParam(name, key);
    this[name].less.checked = this.measure(name).less;
    this.draw();
  }

  measure(name) {
    return this.measures.find((one) => one.key === this[name].choice.value);
  }

  weigh() {
    this.weight = Number(this.slider.value);
    setParam("weight", String(this.weight));
    this.draw();
  }

  // Contestants that have both: where they are, how good that is from 0 to 1 of what was seen, and their weighted sum.
  points() {
    const [x, y] = ["x", "y"].map((name) => this.measure(name));
    const both = this.report.contestants.filter((one) => x.values[one.id] && y.values[one.id]);
    const scaled = (measure, less) => {
      const values = both.map((one) => measure.values[one.id].value);
      const [from, to] = [Math.min(...values), Math.max(...values)];
      return values.map((value) => (to === from ? 0.5 : (less ? to - value : value - from) / (to - from)));
    };
    const [good, other] = [scaled(x, this.x.less.checked), scaled(y, this.y.less.checked)];
    const points = both.map((one, index) => ({ one, a: x.values[one.id], b: y.values[one.id], x: good[index], y: other[index], sum: ((100 - this.weight) * good[index] + this.weight * other[index]) / 100 }));
    const best = new Set(front(points));
    return points.map((point, index) => ({ ...point, front: best.has(index) }));
  }

  draw() {
    const [x, y] = ["x", "y"].map((name) => this.measure(name));
    const sorted = this.points().sort((one, other) => other.sum - one.sum);
    fill(this.words, `${100 - this.weight} % ${x.name}, ${this.weight} % ${y.name}. Best so weighed: `, h("strong", sorted[0].one.name), ". Each objective counts from 0, the worst contestant, to 1, the best.");
    fill(this.rows, table("Contestants by weighted sum", [
      { title: "Checkpoint", cell: ({ one }) => h("strong.pl-eval-name", one.name) },
      { title: x.name, kind: "number", cell: ({ a }) => [written(x, a.value), h("span.pl-muted", bounds(x, a))] },
      { title: y.name, kind: "number", cell: ({ b }) => [written(y, b.value), h("span.pl-muted", bounds(y, b))] },
      { title: "On the front", cell: (point) => (point.front ? badge("on the front", "good") : "") },
      { title: "Weighted sum", kind: "number", cell: (point) => number(point.sum, 3) },
    ], sorted));
    this.plot.draw();
  }

  figure() {
    const [x, y] = ["x", "y"].map((name) => this.measure(name));
    const points = this.points();
    const best = points.reduce((one, other) => (other.sum > one.sum ? other : one));
    const line = points.filter((point) => point.front).sort((one, other) => one.a.value - other.a.value);
    const reach = (value, bound) => (value[bound] === null || value[bound] === undefined ? 0 : Math.abs(value[bound] - value.value));
    const error = (side, color) => ({ type: "data", symmetric: false, array: points.map((point) => reach(point[side], "high")), arrayminus: points.map((point) => reach(point[side], "low")), color, thickness: 1, width: 3 });
    const tones = runTones(points.flatMap(({ one }) => one.run_id ?? []));
    const colors = points.map(({ one }) => (one.run_id ? colorAt(tones.get(one.run_id)) : variable("--pl-muted")));
    return {
      x: arrow(x, this.x.less.checked), y: arrow(y, this.y.less.checked), height: 420, legend: true, shares: `${x.share ? "x" : ""}${y.share ? "y" : ""}`,
      data: [
        { type: "scatter", mode: "lines", name: "The front", x: line.map(({ a }) => a.value), y: line.map(({ b }) => b.value), line: { color: variable("--pl-line-strong"), dash: "dot", width: 2 }, hoverinfo: "skip" },
        {
          type: "scatter", mode: innerWidth > 760 ? "markers+text" : "markers", name: "Contestants, a color for each run", x: points.map(({ a }) => a.value), y: points.map(({ b }) => b.value),
          marker: { size: 11, color: colors, symbol: points.map((point) => (point.front ? "circle" : "circle-open")), line: { width: 2, color: colors } },
          text: points.map(({ one }) => escapeMarkup(label(one))), textposition: "top center", textfont: { size: 11, color: variable("--pl-text") }, cliponaxis: false,
          error_x: error("a", variable("--pl-line-strong")), error_y: error("b", variable("--pl-line-strong")),
          customdata: points.map(({ one, a, b, sum }) => `${escapeMarkup(one.name)}: weighted sum ${number(sum, 3)}<br>${written(x, a.value)}, ${written(y, b.value)}`), hovertemplate: "%{customdata}<extra></extra>",
        },
        { type: "scatter", mode: "markers", name: "Best so weighed", x: [best.a.value], y: [best.b.value], marker: { size: 22, symbol: "circle-open", color: variable("--pl-text"), line: { width: 2 } }, hoverinfo: "skip" },
      ],
      more: { hovermode: "closest", margin: { l: 56, r: 24, t: 20, b: 48 }, legend: { orientation: "h", x: 0, y: -0.2, font: { size: 12 } } },
    };
  }
}

const arrow = (measure, less) => `${measure.name} (${less ? "less" : "more"} is better)`;
const label = ({ name, run, step }) => (run && step !== null ? `${short(run)} ${step}` : short(name));
const short = (text) => (text.length > 18 ? `${text.slice(0, 17)}…` : text);
