// Who said what of a match: each judge in both side orders with its reasons, people's votes beside it, facts of answers.

import { badge, fill, h, table } from "./dom.js";
import { count, number, percent } from "./format.js";
import { judgeName } from "./judge-name.js";
import { describe } from "./label-words.js";

// `left` and `right` are names; `turned` tells that the match's b stands on the left.
export function verdicts(match, evaluation, turned) {
  const judges = [...new Set(match.spoken.filter((one) => one.source === "judge").map((one) => one.judge))];
  const people = match.spoken.filter((one) => one.source === "person");
  const parts = [...judges.map((judge) => judged(judge, match, evaluation, turned)), people.length ? voted(people, turned) : null];
  if (!match.spoken.length) return h("p.pl-muted", "Nobody has judged this match yet.");
  return h("div.pl-verdicts", parts);
}

function judged(judge, match, evaluation, turned) {
  const own = match.spoken.filter((one) => one.source === "judge" && one.judge === judge);
  const said = own.filter((one) => one.probability !== null).map((one) => Math.sign(one.probability - 0.5));
  const doubt = new Set(said).size > 1 ? badge("changed with the side order: a tie", "warn") : said.length < 2 ? badge("not decided in both orders", "warn") : null;
  const orders = [turned, !turned].map((swapped, place) => {
    const one = own.find((verdict) => verdict.swapped === swapped);
    return h("div.pl-verdict-order", h("h4", place ? "B was shown first" : "A was shown first"),
      one ? [h("p", h("strong", sentence(one, turned))), measured(one, turned), one.text ? h("p.pl-muted.pl-eval-words", one.text) : null] : h("p.pl-muted", "Not asked yet."));
  });
  return h("section.pl-card.pl-stack.tight", { "aria-label": `Verdicts of ${judgeName(judge, evaluation)}` }, h("div.pl-row", h("h3", judgeName(judge, evaluation)), doubt), h("div.pl-verdict-orders", orders));
}

const chance = (one, turned) => (one.probability === null ? null : turned ? 1 - one.probability : one.probability);

function sentence(one, turned) {
  const left = chance(one, turned);
  if (left === null) return `No verdict: ${one.reason}`;
  if (left === 0.5) return "Tie";
  return `${left > 0.5 ? "A" : "B"} is better${left % 1 ? ` (${percent(Math.max(left, 1 - left))})` : ""}`;
}

function measured(one, turned) {
  if (!one.scores) return null;
  const scores = turned ? [...one.scores].reverse() : one.scores;
  const words = scores.map((side, place) => Object.entries(side).map(([name, value]) => `${"AB"[place]} ${name} ${typeof value === "number" ? number(value, 3) : value}`)).flat();
  return words.length ? h("p.pl-muted", words.join(" · ")) : null;
}

function voted(people, turned) {
  const rows = people.map((one) => h("li", h("strong", one.by || "A person who has left"), `: ${describe(flip(one.value, turned)).words}`, h("span.pl-muted", one.swapped === turned ? " (saw A first)" : " (saw B first)"),
    one.text ? h("p.pl-muted.pl-eval-words", one.text) : null));
  return h("section.pl-card.pl-stack.tight", { "aria-label": "Votes of people" }, h("h3", "People"), h("ul.pl-eval-verdicts", rows));
}

const flip = (value, turned) => (turned && value.strength ? { ...value, strength: -value.strength } : value);

// Lengths and endings of both answers.
export function facts(place, sides, names) {
  const words = (one) => (one.message ? (one.message.text.match(/\S+/g) || []).length : null);
  const rows = sides.map((side, index) => ({ side, name: names[index], letter: "AB"[index] }));
  fill(place, table("Facts of both answers", [
    { title: "Answer", cell: (row) => h("span.pl-answer-of", h("strong", row.letter), ` ${row.name}`) },
    { title: "Words", kind: "number", cell: (row) => count(words(row.side)) },
    { title: "Characters", kind: "number", cell: (row) => count(row.side.message ? [...row.side.message.text].length : null) },
    { title: "Tokens", kind: "number", cell: (row) => count(row.side.tokens) },
    { title: "Ended", cell: (row) => (row.side.error ? badge(row.side.error, "bad") : row.side.ended === false ? badge("cut off", "warn") : row.side.ended ? "by itself" : "–") },
  ], rows));
}
