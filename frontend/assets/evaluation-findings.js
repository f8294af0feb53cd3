// What verdicts amount to, drawn: each contestant against the baseline, and the ranking of three or more.

import { forestPlot } from "./charts.js";
import { badge, h, table } from "./dom.js";
import { count, number, percent, plural } from "./format.js";

// Every contestant against the baseline: at equal lengths, by chance or not, and as people would say.
export function against(one, names) {
  if (!one.against.length) return null;
  const corrected = one.against.some((row) => row.corrected);
  const several = one.against.length > 1;
  const columns = [
    { title: "Against the baseline", cell: (row) => h("strong", names[row.contestant]) },
    { title: "At equal length", kind: "number", hint: "The win rate if both answered at the same length: a logistic fit of this judge's verdicts on these prompts", cell: (row) => interval(row.controlled) },
    { title: "Length", kind: "number", hint: "Its answers' mean length against the baseline's", cell: ({ controlled: { length_ratio: ratio } }) => (ratio === null ? "–" : `${ratio.toFixed(2)}×`) },
    corrected && { title: "As people would say", kind: "number", hint: "The judge's rate corrected by people's verdicts on some of these prompts (prediction-powered inference)", cell: (row) => [interval(row.corrected), worth(row.corrected)] },
    { title: several ? "By chance (Holm)" : "By chance", kind: "number", hint: `How often a difference this large would come by chance: paired permutation test over prompts${several ? ", adjusted for testing several contestants" : ""}`, cell: (row) => chance(row, one) },
    { title: "These prompts can show", kind: "number", hint: "The smallest difference from 50 % that so many prompts find four times in five", cell: (row) => (row.detectable === null ? h("span.pl-muted", "too few to show one") : `± ${(100 * row.detectable).toFixed(1)} points`) },
  ].filter(Boolean);
  return table("Against the baseline", columns, one.against);
}

function interval({ rate, low, high, reason }) {
  if (rate === null) return h("span.pl-muted", { title: reason }, "–");
  const bounds = low === null ? h("span.pl-muted", { title: reason }, " no interval") : h("span.pl-muted", ` ${(100 * low).toFixed(1)}–${percent(high, 1)}`);
  return h("span", h("strong", percent(rate, 1)), bounds);
}

const worth = ({ rate, people, effective }) =>
  rate === null ? h("div.pl-muted", `${plural(people, "prompt")} judged by people`) : h("div.pl-muted", `${count(people)} by people, worth ${count(Math.round(effective))}`);

// A difference that would come by chance more rarely than the intervals' level allows is called one.
function chance({ p, p_adjusted: adjusted, sign_p: sign, difference }, { pairs: [{ win_rate: { level } }] }) {
  const words = adjusted < 0.001 ? "under 0.1 %" : percent(adjusted, 1);
  const mark = adjusted < 1 - level ? badge(difference > 0 ? "better" : "worse", difference > 0 ? "good" : "bad") : null;
  return h("span", { title: `Permutation test ${number(p, 4)} before adjusting, sign test ${number(sign, 4)}` }, words, mark && [" ", mark]);
}

// Contestants by strength, with the ranks that the verdicts allow, and how well strengths explain what happened.
export function order({ ranking }, names, plots) {
  if (!ranking) return null;
  if (!ranking.standings.length) return h("p.pl-muted", ranking.reason, " ", ranking.groups.map((group) => group.map((id) => names[id]).join(", ")).join(" | "));
  const place = h("div");
  const rows = ranking.standings.map((row) => ({ name: names[row.contestant], rate: row.strength, low: row.low, high: row.high, n: row.matches }));
  requestAnimationFrame(() => plots.push(forestPlot(place, { x: "Strength (log odds against the baseline)", rows, share: false })));
  return h("section.pl-stack.tight", h("h3", "Ranking"), ranking.reason ? h("p.pl-muted", ranking.reason) : null, place, table("Ranking", [
    { title: "Rank", kind: "number", cell: (row) => count(row.rank) },
    { title: "Checkpoint", cell: (row) => h("strong", names[row.contestant]) },
    { title: "Ranks possible", kind: "number", hint: `${percent(ranking.level)} of the rounds that draw prompts anew`, cell: (row) => (row.best === row.worst ? count(row.best) : `${count(row.best)}–${count(row.worst)}`) },
    { title: "Strength", kind: "number", hint: "Bradley-Terry, in log odds against the baseline; a tie is half a win of each", cell: (row) => h("span", number(row.strength, 2), bounds(row)) },
    { title: "Matches", kind: "number", cell: (row) => count(row.matches) },
  ], ranking.standings), doubt(ranking));
}

const bounds = ({ low, high }) =>
  low === null && high === null ? null : h("span.pl-muted", ` ${low === null ? "no lower bound" : low.toFixed(2)} to ${high === null ? "no upper bound" : high.toFixed(2)}`);

// Where one order of strengths does not explain what happened.
function doubt({ observed, predicted, rounds, seed }) {
  const gaps = observed.flatMap((row, one) => row.map((value, other) => (value === null || predicted[one][other] === null ? 0 : Math.abs(value - predicted[one][other]))));
  const worst = Math.max(0, ...gaps);
  const made = rounds ? `${count(rounds)} rounds over prompts, seed ${seed}. ` : "";
  return h("p.pl-muted.pl-note", `${made}Rates that the strengths predict differ from the observed ones by up to ${(100 * worst).toFixed(1)} points${worst > 0.1 ? ": some beat each other in a circle, or there are few matches" : ""}.`);
}
