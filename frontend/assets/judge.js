// The report card of a judge: what follows from it in words, its habits with intervals, agreement with people,
// calibration, what it likes, and whether it prefers its own answers.

import { get } from "./api.js";
import { forestPlot, lineChart } from "./charts.js";
import { empty, fill, h, link, table } from "./dom.js";
import { count, number, percent, plural } from "./format.js";
import { param, setParam, title } from "./frame.js";
import { intervalLine } from "./interval.js";
import { load } from "./live.js";
import { stylesheet } from "./stylesheet.js";

const SCOPES = [["evaluation", "This evaluation"], ["project", "All with these settings"]];
const KINDS = { bad: "div.pl-error", warn: "div.pl-card.warn", good: "div.pl-card.pl-judge-good", note: "div.pl-card" };

export async function mount(element) {
  const page = h("div.pl-page.pl-stack");
  element.append(page);
  await stylesheet("evaluate.css");
  const id = param("evaluation");
  if (!id) {
    page.append(empty("Which judge?", "The address names no evaluation. A judge's report card is reached from an evaluation that it judged.", h("a.pl-button.primary", { href: "/evaluate" }, "All evaluations")));
    return;
  }
  const asked = { judge: param("judge") || undefined, scope: param("scope") === "project" ? "project" : "evaluation" };
  const body = h("div.pl-stack");
  const choose = (scope) => {
    asked.scope = scope;
    setParam("scope", scope);
    for (const one of buttons) one.setAttribute("aria-pressed", String(one.value === scope));
    refresh();
  };
  const buttons = SCOPES.map(([value, words]) => h("button", { type: "button", value, "aria-pressed": String(value === asked.scope), onclick: () => choose(value) }, words));
  page.append(h("div.pl-row.between", link("Back to the evaluation", `/evaluation?id=${encodeURIComponent(id)}`), h("div.pl-segments", { role: "group", "aria-label": "What is read" }, buttons)), body);
  const refresh = () => load(body, () => get(`/evaluations/${encodeURIComponent(id)}/judge`, asked), (card) => draw(body, card, id));
  await refresh();
}

function draw(body, card, id) {
  title(`Judge: ${card.name.replaceAll("_", " ")}`);
  const plots = h("div.pl-stack");
  fill(
    body,
    h("p.pl-muted", `${plural(card.verdicts, "verdict")} on ${plural(card.matches, "match", "matches")} of ${plural(card.prompts, "prompt")} in ${plural(card.evaluations, "evaluation")}`,
      card.newest_only ? "; there are more, and the newest were read" : "", ". Intervals are of 95 %, and the prompt is their unit."),
    h("div.pl-stack.tight", { role: "list", "aria-label": "What follows" }, card.words.map((one) => h(KINDS[one.kind], { role: "listitem" }, one.text))),
    card.verdicts ? [habits(card), people(card, id), calibration(card.calibration, id), likings(card.dissection), own(card.self_preference)] : plots,
  );
}

const section = (words, ...children) => h("section.pl-card.pl-stack.tight", { "aria-label": words }, h("h2", words), ...children);

function habits(card) {
  const rows = [
    ["Same verdict in both side orders", card.consistency, null, "matches"],
    ["The answer shown first wins", card.shown_first, 0.5, "verdicts"],
    ["The longer answer wins", card.longer, 0.5, "matches"],
    ["Ties", card.ties, null, "verdicts"],
    ["Replies without a verdict", card.unreadable, null, "verdicts"],
  ];
  const lost = Object.entries(card.undecided);
  return section("Habits",
    shares("Habits", rows),
    lost.length ? h("p.pl-muted.pl-note", "Came to nothing: ", lost.map(([reason, times]) => `${count(times)} × ${reason}`).join(" · ")) : null);
}

const shares = (caption, rows) => table(caption, [
  { title: "What", cell: ([name]) => h("span.pl-eval-name", name) },
  { title: "Share", kind: "number", cell: ([, one]) => h("strong", { title: one.reason }, percent(value(one), 1)) },
  { title: "Interval", cell: ([name, one, mark]) => h("div.pl-judge-interval", intervalLine({ value: value(one), low: one.low, high: one.high }, { mark, label: `${name}: ${percent(value(one), 1)}${one.low === null ? "" : `, ${span(one)}`}` }), h("span.pl-muted", one.low === null ? one.reason || "–" : span(one))) },
  { title: "n", kind: "number", cell: ([, one, , of]) => `${count(one.n)} ${of}` },
], rows);

const value = (one) => (one.rate === undefined ? one.value : one.rate);
const span = ({ low, high }) => `${(100 * low).toFixed(1)}–${percent(high, 1)}`;

// What leads on from a section that lacks verdicts of people.
const judge = (id) => h("div", link("Judge its matches", `/compare?evaluation=${encodeURIComponent(id)}`, "pl-button small"));

function people({ agreement, kappa }, id) {
  if (!agreement.n) return section("Agreement with people", h("p.pl-muted", agreement.reason), judge(id));
  const beyond = kappa.value === null ? kappa.reason : `${number(kappa.value, 2)}${kappa.low === null ? "" : ` (${[kappa.low, kappa.high].map((one) => one.toFixed(2).replace("-", "−")).join(" to ")})`}`;
  return section("Agreement with people",
    shares("Agreement with people", [["Names the winner that people name", agreement, null, "prompts"]]),
    h("p.pl-muted.pl-note", `Beyond chance (Cohen's κ): ${beyond}. People agree with each other in about two of three.`));
}

function calibration(found, id) {
  if (found.reason && !found.bins.length) return section("Calibration", h("p.pl-muted", found.reason), judge(id));
  const place = h("div");
  requestAnimationFrame(() => {
    const chart = lineChart(place, { x: "How sure the judge is", y: "How often it is right", range: [0, 1.02], height: 280, legend: true, shares: "xy" });
    chart.replace({ id: "even", name: "As often right as sure", tone: 7, dash: "dot" }, [0.5, 1], [0.5, 1]);
    chart.replace({ id: "judge", name: "This judge", tone: 0 }, found.bins.map((one) => one.confidence), found.bins.map((one) => one.right),
      { low: found.bins.map((one) => one.right_low), high: found.bins.map((one) => one.right_high) });
  });
  const bounds = found.low === null ? "" : ` (${(100 * found.low).toFixed(1)}–${(100 * found.high).toFixed(1)})`;
  return section("Calibration", place,
    h("p.pl-muted.pl-note", `Expected calibration error ${(100 * found.error).toFixed(1)}${bounds} points; a perfectly calibrated judge stays below ${(100 * found.by_chance).toFixed(1)} on as many matches. Brier score ${number(found.brier, 3)}. ${plural(found.n, "match", "matches")} on ${plural(found.prompts, "prompt")}, seed ${found.seed}.`));
}

function likings(found) {
  if (!found.likings.length) return section("What it likes", h("p.pl-muted", found.reason), h("div", link("Evaluate on more prompts", "/evaluate?new", "pl-button small")));
  const place = h("div");
  const share = (odds) => 1 / (1 + Math.exp(-odds));
  const rows = found.likings.map((one) => ({ name: one.name, rate: one.preferred, low: share(one.low), high: share(one.high), n: one.differ }));
  requestAnimationFrame(() => forestPlot(place, { x: "How often it prefers the answer with more of it, all else alike", rows }));
  const foretold = found.foretold && found.baseline
    ? `These properties foretell ${percent(found.foretold.rate, 1)} of its verdicts on prompts they were not fitted on; “the longer one” foretells ${percent(found.baseline.rate, 1)}${found.gain.low === null ? "" : ` (difference ${(100 * found.gain.low).toFixed(1)} to ${(100 * found.gain.high).toFixed(1)} points)`}. `
    : "";
  return section("What it likes", place,
    h("p.pl-muted.pl-note", `${foretold}A logistic regression of ${plural(found.n, "verdict")} on which answer has more of each; n counts prompts on which answers differ in it. It tells what goes together, not why.`));
}

function own(found) {
  if (found.score === null) return section("Its own answers", h("p.pl-muted", found.reason), h("div", link("Evaluate its model among others", "/evaluate?new", "pl-button small")));
  const bounds = found.low === null ? found.reason : `${(100 * found.low).toFixed(1)} to ${(100 * found.high).toFixed(1)}`;
  return section("Its own answers",
    h("p", "It lets its own model's answers win ", h("strong", `${found.score > 0 ? "+" : ""}${(100 * found.score).toFixed(1)} points`), ` (${bounds}) beyond what others say.`),
    h("p.pl-muted.pl-note", `DBG score: ${percent(found.own, 1)} by its own verdicts less ${percent(found.gold, 1)} by the majority of everybody else, on ${plural(found.n, "match", "matches")} of ${plural(found.prompts, "prompt")}. How often they win less how often they lose, by its own verdicts: ${(100 * found.naive).toFixed(1)} points.`));
}
