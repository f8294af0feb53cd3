// What lm-evaluation-harness measured: a table for each task, the contestants in their order, and the change of each.

import { badge, h, table } from "./dom.js";
import { count, number, percent } from "./format.js";

// Null where the report holds nothing that was measured.
export function benchmarks({ measured, contestants }) {
  if (!measured.length) return null;
  const names = Object.fromEntries(contestants.map((one) => [one.id, one.name]));
  const tasks = Map.groupBy(measured, (one) => one.task);
  const [{ level, seed }] = measured;
  return h("section.pl-card.pl-stack.tight", { "aria-label": "Public benchmarks" }, h("h2", "Public benchmarks"),
    [...tasks].map(([task, rows]) => [h("h3.pl-wrap", task), table(`Measured on ${task}`, columns(rows, names, contestants[0].id), rows)]),
    h("p.pl-muted.pl-note", `Measured by lm-evaluation-harness; ${percent(level)} intervals, seed ${seed}. A change is against the baseline, on the same samples where each one's score is known; else from both errors, as if the samples were different ones.`));
}

function columns(rows, names, base) {
  const share = rows.every((one) => one.higher_is_better && one.value >= 0 && one.value <= 1);
  const written = (value) => (share ? percent(value, 1) : number(value, 4));
  const moved = (value) => `${value > 0 ? "+" : ""}${share ? (100 * value).toFixed(1) : number(value, 3)}`.replace("-", "−");
  const bounds = (low, high, words) => (low === null ? null : h("span.pl-muted", ` ${words(low)} to ${words(high)}`));
  const clear = (row) => row.change_low !== null && (row.change_low > 0 || row.change_high < 0);
  const [{ metric, higher_is_better: more }] = rows;
  return [
    { title: "Checkpoint", cell: (row) => h("strong.pl-eval-name", names[row.contestant]) },
    { title: `${metric}${more ? "" : " (less is better)"}`, kind: "number", cell: (row) => h("span", { title: row.reason }, h("strong", written(row.value)), bounds(row.low, row.high, written) || h("span.pl-muted", " no interval")) },
    { title: share ? "Change in points" : "Change", kind: "number", cell: (row) => (row.contestant === base ? h("span.pl-muted", "the baseline") : row.change === null ? "–" : h("span", moved(row.change), bounds(row.change_low, row.change_high, moved), clear(row) ? [" ", badge(row.change > 0 ? "better" : "worse", row.change > 0 ? "good" : "bad")] : null)) },
    { title: "Samples", kind: "number", cell: (row) => count(row.n) },
  ];
}
