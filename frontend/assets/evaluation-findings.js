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
    corrected && { title: "As people would say", kind: "number", hint: "The judge's rate corrected by people's verdicts on some of these prompts (prediction-powered inference)", cell: (row) => [interval(row.corrected), worth(row.corrected), outlook(row.corrected)] },
    { title: several ? "By chance (Holm)" : "By chance", kind: "number", hint: `How often a difference this large would come by chance: paired permutation test over prompts${several ? ", adjusted for testing several contestants" : ""}`, cell: (row) => chance(row, one) },
    one.against.some((row) => row.published) && { title: "AlpacaEval 2 (LC)", kind: "number", hint: "AlpacaEval 2's own length-controlled win rate, with its standard error", cell: ({ published: found }) => (!found || found.rate === null ? h("span.pl-muted", { title: found?.reason }, "–") : h("span", h("strong", `${(100 * found.rate).toFixed(2)} %`), h("span.pl-muted", ` ± ${(100 * found.standard_error).toFixed(2)}`))) },
    one.against.some((row) => row.stopping) && { title: "Enough?", hint: "Whether more prompts could change the answer: bounds that hold however often one looks, for all contestants together", cell: enough },
    { title: "These prompts can show", kind: "number", hint: "The smallest difference from 50 % that so many prompts find four times in five", cell: (row) => (row.detectable === null ? h("span.pl-muted", "too few to show one") : `± ${(100 * row.detectable).toFixed(1)} points`) },
  ].filter(Boolean);
  const reasons = [...new Set(one.against.map((row) => row.published?.reason).filter(Boolean))];
  return h("div.pl-stack.tight", table("Against the baseline", columns, one.against), reasons.map((words) => h("p.pl-muted.pl-note", words)));
}

function interval({ rate, low, high, reason }) {
  if (rate === null) return h("span.pl-muted", { title: reason }, "–");
  const bounds = low === null ? h("span.pl-muted", { title: reason }, " no interval") : h("span.pl-muted", ` ${(100 * low).toFixed(1)}–${percent(high, 1)}`);
  return h("span", h("strong", percent(rate, 1)), bounds);
}

const worth = ({ rate, people, effective }) =>
  rate === null ? h("div.pl-muted", `${plural(people, "prompt")} judged by people`) : h("div.pl-muted", `${count(people)} by people, worth ${count(Math.round(effective))}`);

// What more verdicts of people would do to the interval.
const outlook = ({ next }) =>
  next && h("div.pl-muted", { title: `By lot they would leave ± ${(100 * next.by_lot).toFixed(1)} points` }, `${plural(next.prompts, "more", "more")}: ± ${(100 * next.now).toFixed(1)} → ± ${(100 * next.guided).toFixed(1)} points`);

// Whether one may stop, in words: settled, as good as equal, or about how many prompts are missing.
function enough({ stopping: one }) {
  if (!one || one.reason) return h("span.pl-muted", "–");
  const bounds = { title: `${(100 * one.low).toFixed(1)}–${percent(one.high, 1)} at every look together; evidence against an even chance: ${number(one.evidence, 3)}` };
  if (one.state === "decided") return h("span.pl-eval-enough", bounds, badge("you may stop", "good"), ` ${one.low > 0.5 ? "better" : "worse"}, however often you looked`);
  if (one.state === "equal") return h("span.pl-eval-enough", bounds, badge("no need to look further", "good"), ` less than ${(100 * one.margin).toFixed(0)} points from even`);
  return h("span.pl-eval-enough.pl-muted", bounds, one.needed === null ? "not settled, and nothing speaks for either yet" : `not settled; about ${plural(Math.ceil(one.needed), "more prompt")} at this pace`);
}

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
    ranking.rounds && { title: "Ranks possible", kind: "number", hint: `${percent(ranking.level)} of the rounds that draw prompts anew`, cell: ranks },
    { title: "Strength", kind: "number", hint: "Bradley-Terry, in log odds against the baseline; a tie is half a win of each", cell: strength },
    { title: "Matches", kind: "number", cell: (row) => count(row.matches) },
  ].filter(Boolean), ranking.standings), doubt(ranking), circles(ranking.cycles, names), styled(ranking.styled, names));
}

// Contestants that beat each other in a circle: how many triples of them, and which for sure.
function circles(found, names) {
  if (!found) return null;
  const sure = found.circles.filter((one) => one.p < 1 - found.level);
  const bounds = `${percent(found.low, 0)} to ${percent(found.high, 0)}`;
  return h("p.pl-muted.pl-note", `Of ${plural(found.triples, "triple")} of contestants ${percent(found.share, 0)} beat each other in a circle as observed; with ${percent(found.level)} certainty the truth is ${bounds}. `,
    sure.length ? `Beyond chance: ${sure.map((one) => [...one.contestants, one.contestants[0]].map((id) => names[id]).join(" beats ")).join("; ")}. No ranking explains these.` : found.share ? "No circle is beyond chance." : "");
}

// The ranking once more, with length and Markdown taken out.
function styled(found, names) {
  if (!found.standings.length) return h("p.pl-muted.pl-note", `At equal style: ${found.reason}`);
  const bounded = found.standings.some((row) => row.low !== null || row.high !== null);
  const worth = found.effects.filter((one) => one.value !== null).map((one) => `${one.name} ${one.value > 0 ? "+" : ""}${one.value.toFixed(2)}${one.low === null ? "" : ` (${one.low.toFixed(2)} to ${one.high.toFixed(2)})`}`.replaceAll("-", "−"));
  return h("section.pl-stack.tight", h("h3", "Ranking at equal style"), table("Ranking at equal style", [
    { title: "Rank", kind: "number", cell: (row) => count(row.rank) },
    { title: "Checkpoint", cell: (row) => h("strong", names[row.contestant]) },
    bounded && { title: "Ranks possible", kind: "number", cell: ranks },
    { title: "Strength", kind: "number", hint: "Bradley-Terry beside the effects of length, headings, bold and lists, in log odds against the baseline", cell: strength },
  ].filter(Boolean), found.standings), h("p.pl-muted.pl-note", `${worth.length ? `What an ordinary difference is worth to this judge, in log odds: ${worth.join("; ")}. ` : "The answers do not differ in style. "}${plural(found.n, "match", "matches")} on ${plural(found.prompts, "prompt")}.${found.reason ? ` ${found.reason}` : ""}`));
}

// Ranks that rounds of a bootstrap gave; why there was none stands above the table.
const ranks = (row) => (row.best === row.worst ? count(row.best) : `${count(row.best)}–${count(row.worst)}`);

// The baseline's strength is 0 by what strengths are measured against.
const strength = ({ strength: value, low, high }) => h("span", fixed(value), low === 0 && high === 0 ? h("span.pl-muted", " the baseline") : bounds(low, high));

const bounds = (low, high) =>
  low === null && high === null ? null : h("span.pl-muted", ` ${low === null ? "no lower bound" : fixed(low)} to ${high === null ? "no upper bound" : fixed(high)}`);

const fixed = (value) => value.toFixed(2).replace("-", "−");

// Where one order of strengths does not explain what happened.
function doubt({ observed, predicted, rounds, seed }) {
  const gaps = observed.flatMap((row, one) => row.map((value, other) => (value === null || predicted[one][other] === null ? 0 : Math.abs(value - predicted[one][other]))));
  const worst = Math.max(0, ...gaps);
  const made = rounds ? `${count(rounds)} rounds over prompts, seed ${seed}. ` : "";
  return h("p.pl-muted.pl-note", `${made}Rates that the strengths predict differ from the observed ones by up to ${(100 * worst).toFixed(1)} points${worst > 0.1 ? ": some beat each other in a circle, or there are few matches" : ""}.`);
}
