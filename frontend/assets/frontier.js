// Reward against KL: checkpoints as points, runs as lines in the order of their steps, and two runs at one KL.

import { get } from "./api.js";
import { chart, colorAt, escapeMarkup, runDash, runTones, translucent, variable } from "./charts.js";
import { badge, button, errorCard, field, fill, h, skeleton, table } from "./dom.js";
import { number, percent } from "./format.js";
import { param, setParam } from "./frame.js";
import { judgeName } from "./judge-name.js";

const PAUSE_MS = 150; // of the slider, before runs are compared anew
const STEPS = 40;
const WIN = "win";

export function frontier(report, evaluations) {
  return new Frontier(report, evaluations).start();
}

class Frontier {
  constructor(report, evaluations) {
    this.report = report;
    this.others = evaluations.filter((one) => one.id !== report.evaluation.id);
    this.joined = (param("with") || "").split(",").filter(Boolean);
    this.path = `/evaluations/${report.evaluation.id}/frontier`;
  }

  start() {
    this.trouble = h("div.pl-when-filled", skeleton(3));
    this.controls = h("div.pl-grid");
    this.chips = h("div.pl-row");
    this.place = h("div.pl-eval-tall");
    this.words = h("p.pl-muted");
    this.slider = h("input", { type: "range", min: 0, max: STEPS, oninput: () => this.move(), "aria-describedby": "pl-matched" });
    this.at = field("Compare runs at this KL", this.slider);
    this.said = h("div.pl-stack.tight", { id: "pl-matched", "aria-live": "polite" });
    this.rows = h("div");
    this.body = h("div.pl-stack.tight", this.controls, this.chips, this.words, this.place, this.at, this.said, h("details", h("summary", "The points as a table"), this.rows));
    this.element = h("section.pl-card.pl-stack.tight", { "aria-label": "Reward against KL" }, h("h2", "Reward against KL"), this.trouble, this.body);
    this.body.hidden = true;
    this.refresh();
    return this.element;
  }

  get wanted() {
    return { reward: param("reward") || WIN, judge: param("judge"), reference_id: param("reference"), at: param("at"), others: this.joined };
  }

  async refresh() {
    const turn = (this.turn = (this.turn || 0) + 1);
    try {
      const told = await get(this.path, this.wanted);
      if (turn === this.turn) this.draw(told);
    } catch (error) {
      fill(this.trouble, errorCard(error, () => this.refresh()));
    }
  }

  set(name, value) {
    setParam(name, value);
    this.refresh();
  }

  draw(told) {
    this.told = told;
    this.body.hidden = !told.reference;
    fill(this.trouble, told.reason ? h("p.pl-muted", told.reason) : null, told.warnings.map((text) => h("p.pl-card.warn", text)));
    if (!told.reference) return;
    this.drawControls();
    fill(this.words, told.points.length ? `KL to ${told.reference.name}${told.estimator === "k1" ? ", by log-ratios" : ""}; checkpoints of a run are joined in the order of their steps.` : "");
    this.plot ||= chart(this.place, "Reward of every checkpoint over its KL", () => this.figure());
    this.place.hidden = !told.points.length;
    this.plot.draw();
    this.drawMatched();
    fill(this.rows, table("Checkpoints by KL and reward", [
      { title: "Checkpoint", cell: ({ contestant }) => h("strong.pl-eval-name", contestant.name) },
      { title: "KL (nats an answer)", kind: "number", cell: ({ kl }) => [number(kl.value, 3), bounds(kl, (value) => number(value, 3))] },
      { title: this.title(), kind: "number", cell: ({ reward }) => [this.written(reward.value), bounds(reward, this.written)] },
      { title: "On the front", cell: ({ front }) => (front ? badge("on the front", "good") : "") },
    ], told.points));
  }

  drawControls() {
    const { told } = this;
    const select = (choices, chosen, onchange) => {
      const choice = h("select", { onchange: () => onchange(choice.value) }, choices.map(([value, name]) => h("option", { value, selected: value === chosen }, name)));
      return choice;
    };
    const judges = this.report.tables.map((one) => [one.judge, judgeName(one.judge, this.report.evaluation)]);
    const left = this.others.filter((one) => !this.joined.includes(one.id));
    const straight = param("straight") === "1";
    fill(this.controls,
      field("Reward", select(told.rewards.map((one) => [one, rewardName(one)]), told.reward, (value) => this.set("reward", value))),
      told.reward === WIN && judges.length > 1 ? field("Judged by", select(judges, told.judge, (value) => this.set("judge", value))) : null,
      told.references.length > 1 ? field("KL to", select(told.references.map((one) => [one.id, one.name]), told.reference.id, (value) => this.set("reference", value))) : null,
      field("Scale of KL", select([["", "square root"], ["1", "straight"]], straight ? "1" : "", (value) => { setParam("straight", value); this.plot.draw(); })),
      left.length ? field("Add points of another evaluation", select([["", "choose …"], ...left.map((one) => [one.id, one.name])], "", (value) => value && this.join([...this.joined, value]))) : null);
    const why = Object.fromEntries(told.unjoined.map((one) => [one.evaluation_id, one.reason]));
    fill(this.chips, this.joined.map((id) => h("span.pl-row.tight",
      badge(this.others.find((one) => one.id === id)?.name || "another evaluation", why[id] ? "warn" : ""), why[id] ? h("span.pl-muted", `does not join. ${why[id]}`) : null,
      button("Take out", () => this.join(this.joined.filter((one) => one !== id)), { kind: "small" }))));
  }

  join(ids) {
    this.joined = ids;
    this.set("with", ids.join(","));
  }

  title = () => rewardName(this.told.reward);

  written = (value) => (this.told.reward === WIN ? percent(value, 1) : number(value, 3));

  figure() {
    const { points } = this.told;
    const root = param("straight") !== "1";
    const at = (kl) => (root ? Math.sqrt(Math.max(kl, 0)) : kl);
    const runs = new Map();
    for (const point of points) {
      const id = point.run_id || point.contestant.id;
      if (!runs.has(id)) runs.set(id, { name: point.run || point.contestant.name, run: point.run_id, points: [] });
      runs.get(id).points.push(point);
    }
    const reach = (value, bound, way) => (value[bound] === null ? 0 : Math.abs(way(value[bound]) - way(value.value)));
    const error = (own, name, way, color) => ({ type: "data", symmetric: false, array: own.map((one) => reach(one[name], "high", way)), arrayminus: own.map((one) => reach(one[name], "low", way)), color: translucent(color, 0.45), thickness: 1.2, width: 3 });
    const tones = runTones([...runs.values()].flatMap((one) => one.run ?? []));
    const data = [...runs].map(([id, { name, run, points: some }]) => {
      const start = this.told.began.includes(run) ? points.filter((one) => one.contestant.id === this.told.reference.id) : [];
      const own = [...start, ...some.filter((one) => !start.includes(one)).sort((one, other) => (one.step ?? 0) - (other.step ?? 0))];
      const color = run ? colorAt(tones.get(id)) : variable("--pl-muted");
      return {
        type: "scatter", mode: own.length > 1 ? "lines+markers" : "markers", name: escapeMarkup(name), x: own.map(({ kl }) => at(kl.value)), y: own.map(({ reward }) => reward.value),
        line: { color, width: 1.8, dash: run ? runDash(id) : "solid" }, marker: { size: 10, color, symbol: own.map(({ front }) => (front ? "circle" : "circle-open")), line: { width: 2, color } },
        error_x: error(own, "kl", at, color), error_y: error(own, "reward", (value) => value, color),
        text: own.map((one) => `${escapeMarkup(one.contestant.name)}${one.front ? ", on the front" : ""}: ${number(one.kl.value, 3)} nats, ${this.written(one.reward.value)}`), hovertemplate: "%{text}<extra></extra>",
      };
    });
    const front = points.filter((one) => one.front).sort((one, other) => one.kl.value - other.kl.value);
    data.push({ type: "scatter", mode: "lines", name: "The front", x: front.map(({ kl }) => at(kl.value)), y: front.map(({ reward }) => reward.value), line: { color: variable("--pl-line-strong"), dash: "dot", width: 2, shape: "hv" }, hoverinfo: "skip" });
    const most = Math.max(...points.map(({ kl }) => kl.high ?? kl.value), 1e-9);
    const ticks = [0, 1 / 16, 1 / 4, 9 / 16, 1].map((share) => most * share);
    const where = this.where();
    return {
      x: root ? "KL in nats an answer, by its square root" : "KL in nats an answer", y: this.title(), height: 420, legend: true, shares: this.told.reward === WIN ? "y" : "", data,
      shapes: where === null ? [] : [{ type: "line", x0: at(where), x1: at(where), yref: "paper", y0: 0, y1: 1, line: { color: variable("--pl-text"), width: 1, dash: "dash" } }],
      more: {
        hovermode: "closest", margin: { l: 56, r: 16, t: 12, b: 48 }, legend: { orientation: "h", x: 0, y: -0.2, font: { size: 12 } }, uirevision: `${root} ${this.told.reward}`,
        ...(root && { xaxis: { tickvals: ticks.map(at), ticktext: ticks.map((value) => number(value, 2)), title: { text: "KL in nats an answer, by its square root", font: { size: 12, color: variable("--pl-muted") }, standoff: 6 }, gridcolor: variable("--pl-line"), zerolinecolor: variable("--pl-line"), tickfont: { size: 11, color: variable("--pl-muted") }, automargin: true } }),
      },
    };
  }

  // The KL at which runs are compared now, where one is shared by those that can be.
  where() {
    if (param("at") !== null) return Number(param("at"));
    const known = new Set(this.told.matched.map((one) => one.at).filter((one) => one !== null));
    return known.size === 1 ? [...known][0] : null;
  }

  furthest = () => Math.max(0, ...this.told.matched.map((one) => one.most ?? 0));

  move() {
    const value = (this.furthest() * Number(this.slider.value)) / STEPS;
    setParam("at", String(Number(value.toPrecision(4))));
    this.slider.setAttribute("aria-valuetext", `${number(value, 3)} nats`);
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.refresh(), PAUSE_MS);
  }

  drawMatched() {
    const { matched, points } = this.told;
    const most = this.furthest();
    this.at.hidden = !most;
    const where = this.where();
    if (most && where !== null && document.activeElement !== this.slider) this.slider.value = Math.round((where / most) * STEPS);
    const names = Object.fromEntries(points.filter((one) => one.run_id).map((one) => [one.run_id, one.run]));
    if (!matched.length) return fill(this.said, h("p.pl-muted", "Checkpoints of two runs or more can be compared at one KL; here are those of fewer."));
    fill(this.said, matched.map((one) => h("p", this.sentence(one, names))), h("p.pl-muted.pl-note", "Read on straight lines over the square root of the KL between a run's checkpoints; nothing is read beyond them. Prompts are drawn anew for both runs at once."));
  }

  sentence(one, names) {
    const [first, second] = [h("strong", names[one.first]), h("strong", names[one.second])];
    const reach = one.most === null ? "" : ` Both were seen between ${number(one.least, 2)} and ${number(one.most, 3)} nats.`;
    if (one.difference === null) return [first, " and ", second, `: ${one.reason}${reach}`];
    const win = this.told.reward === WIN;
    const step = (value) => (win ? (100 * value).toFixed(1).replace("-", "−") : number(value, 3));
    const size = `${one.difference >= 0 ? "+" : "−"}${step(Math.abs(one.difference))}${win ? " points" : ""}`;
    const span = one.low === null ? `, without an interval: ${one.reason}` : ` (${step(one.low)} to ${step(one.high)}, ${percent(one.level)} of ${one.prompts} prompts)`;
    const clear = one.low !== null && (one.low > 0 || one.high < 0);
    return [`At ${number(one.at, 3)} nats `, first, ` earns ${this.written(one.first_reward)}, `, second, ` ${this.written(one.second_reward)}: ${size}${span}. `, one.low === null ? "" : clear ? badge("different", "good") : badge("not to be told apart", "idle"), h("span.pl-muted", reach)];
  }
}

const rewardName = (name) => (name === WIN ? "Win rate against the baseline" : `Score: ${name.slice("score:".length)}`);
const bounds = ({ low, high }, written) => (low === null ? "" : h("span.pl-muted", ` (${written(low)} to ${written(high)})`));
