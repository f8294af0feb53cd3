// Contestants against the baseline as pictures: a forest plot of all three rates, and the rate by step of each run.

import { chart, colorAt, escapeMarkup, lineChart, variable } from "./charts.js";
import { h, table } from "./dom.js";
import { count, number, percent } from "./format.js";

const KINDS = [
  { key: "raw", name: "As judged", symbol: "circle", tone: 0 },
  { key: "controlled", name: "At equal length", symbol: "diamond-open", tone: 1 },
  { key: "corrected", name: "As people would say", symbol: "square", tone: 2 },
];

const LETTER = 6.4; // pixels of a row's name
const SIDES = 24; // and of the margins beside it

// Of one judge, for every contestant the rates against the baseline that there are: {id, name, raw, controlled, corrected}.
export function baselineRates(one, names, base) {
  const against = Object.fromEntries(one.against.map((row) => [row.contestant, row]));
  return one.pairs
    .filter((pair) => pair.second === base && pair.win_rate.rate !== null)
    .map(({ first, win_rate: raw }) => ({ id: first, name: names[first], raw, controlled: against[first]?.controlled, corrected: against[first]?.corrected }));
}

// In lines of so many letters, two at most: their end stays, which tells the step.
function inTwo(text, most) {
  if (text.length <= most) return escapeMarkup(text);
  const from = text.length - Math.floor(most);
  const at = text.indexOf(" ", from) + 1 || from;
  const start = text.slice(0, at);
  return `${escapeMarkup(start.length > most ? `${start.slice(0, most - 1)}…` : start)}<br>${escapeMarkup(text.slice(at))}`;
}

export function baselineForest(place, rows, base) {
  const at = (place) => (place - 1) * 0.2;
  const bounds = ({ low, high }) => (low === null ? " (no interval)" : ` (${(100 * low).toFixed(1)}–${(100 * high).toFixed(1)} %)`);
  const series = () =>
    KINDS.map(({ key, name, symbol, tone }, place) => {
      const known = rows.map((row, index) => ({ ...row[key], index })).filter((row) => row.rate !== null && row.rate !== undefined);
      const reach = (row, bound) => (row[bound] === null ? 0 : Math.abs(row[bound] - row.rate));
      return known.length && {
        type: "scatter", mode: "markers", name, x: known.map((row) => row.rate), y: known.map((row) => row.index + at(place)),
        marker: { symbol, size: 9, color: colorAt(tone), line: { width: 2, color: colorAt(tone) } },
        error_x: { type: "data", symmetric: false, array: known.map((row) => reach(row, "high")), arrayminus: known.map((row) => reach(row, "low")), color: colorAt(tone), thickness: 2, width: 5 },
        text: known.map((row) => `${name}: ${percent(row.rate, 1)}${bounds(row)}`), hovertemplate: "%{text}<extra></extra>",
      };
    }).filter(Boolean);
  const annotations = () => rows.map((row, index) => ({
    xref: "paper", x: 0, y: index, yshift: 22, xanchor: "left", yanchor: "bottom", showarrow: false, align: "left",
    text: inTwo(`${row.name} (n = ${row.raw.n})`, (place.clientWidth - SIDES) / LETTER), font: { size: 12, color: variable("--pl-text") },
  }));
  return chart(place, `Win rates against ${base}`, () => ({
    x: "Win rate against the baseline", y: "", legend: true, height: 112 + 74 * rows.length, data: series(),
    shapes: [{ type: "line", x0: 0.5, x1: 0.5, yref: "paper", y0: 0, y1: 1, line: { color: variable("--pl-line-strong"), dash: "dot", width: 1 } }],
    more: {
      annotations: annotations(), hovermode: "closest", margin: { l: 12, r: 12, t: 26, b: 42 },
      yaxis: { visible: false, range: [rows.length - 0.5, -0.75], fixedrange: true },
      xaxis: { range: [-0.02, 1.02], tickformat: ".0%", title: { text: "Win rate against the baseline", font: { size: 12, color: variable("--pl-muted") }, standoff: 6 }, gridcolor: variable("--pl-line"), zeroline: false, tickfont: { size: 11, color: variable("--pl-muted") } },
      legend: { orientation: "h", x: 0, y: 1, yanchor: "bottom", font: { size: 12 } },
    },
  }));
}

// The runs of which two contestants or more are checkpoints: [{id, name, points: [{step, rate, low, high, n}]}].
export function bySteps(rows, contestants) {
  const runs = new Map();
  for (const row of rows) {
    const { run_id: id, run, step } = contestants.find((one) => one.id === row.id);
    if (!id || step === null) continue;
    if (!runs.has(id)) runs.set(id, { id, name: run, points: [] });
    runs.get(id).points.push({ step, ...row.raw });
  }
  for (const run of runs.values()) run.points.sort((one, other) => one.step - other.step);
  return [...runs.values()].filter((run) => run.points.length > 1);
}

export function stepCurve(place, runs) {
  const curve = lineChart(place, {
    title: "Win rate against the baseline by step", x: "Optimizer step", y: "Win rate", range: [0, 1], shares: "y",
    shapes: [{ type: "line", xref: "paper", x0: 0, x1: 1, y0: 0.5, y1: 0.5, line: { color: variable("--pl-line-strong"), dash: "dot", width: 1 } }],
  });
  const column = (points, name) => points.map((point) => point[name]);
  for (const run of runs) curve.replace({ id: run.id, name: run.name }, column(run.points, "step"), column(run.points, "rate"), { low: column(run.points, "low"), high: column(run.points, "high") });
  return curve;
}

export const stepTable = (runs) =>
  h("details", h("summary", "The curve as a table"), table("Win rate by step", [
    { title: "Run", cell: ({ run }) => h("span.pl-wrap", run.name) },
    { title: "Step", kind: "number", cell: ({ point }) => count(point.step) },
    { title: "Win rate", kind: "number", cell: ({ point }) => percent(point.rate, 1) },
    { title: "Interval", kind: "number", cell: ({ point: { low, high } }) => (low === null ? "–" : `${(100 * low).toFixed(1)}–${percent(high, 1)}`) },
    { title: "Matches", kind: "number", cell: ({ point }) => number(point.n) },
  ], runs.flatMap((run) => run.points.map((point) => ({ run, point })))));
