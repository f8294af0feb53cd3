// An evaluation's matches, prompt by prompt: filtered, side by side, with every verdict.

import { get } from "./api.js";
import { badge, button, errorCard, fill, h, html, skeleton } from "./dom.js";
import { count, number, percent } from "./format.js";
import { param, setParam } from "./frame.js";
import { judgeName } from "./judge-name.js";

const OUTCOMES = [
  ["", "Every outcome"],
  ["won", "Won"],
  ["lost", "Lost"],
  ["tie", "Tie"],
  ["contradicted", "Changed with the side order"],
  ["undecided", "Undecided"],
  ["failed", "Without an answer"],
];
const PAGE = 10;

export function matchList(evaluation) {
  const names = Object.fromEntries(evaluation.contestants.map((one) => [one.id, one.name]));
  const place = h("div.pl-stack.tight");
  const more = h("div.pl-row.center");
  const contestant = select("Contestant", "contestant", [...evaluation.contestants.slice(1), evaluation.contestants[0]].map((one) => [one.id, one.name]));
  const outcome = select("Outcome", "outcome", OUTCOMES);
  const judge = select("Judge", "judge", [["", "Every judge"], ...new Set([evaluation.judge.name, "people"])].map((one) => (Array.isArray(one) ? one : [one, judgeName(one, evaluation)])));
  const element = h("section.pl-stack.tight",
    h("div.pl-row.between", h("h2", "Matches"), h("div.pl-row", contestant, outcome, judge)), place, more);
  let turn = 0;

  function select(label, name, options) {
    const made = h("select.pl-input.pl-eval-filter", { "aria-label": label }, options.map(([value, words]) => h("option", { value, selected: value === param(name) }, words)));
    made.addEventListener("change", () => { setParam(name, made.value); refresh(); });
    return made;
  }

  async function page(cursor) {
    return get(`/evaluations/${evaluation.id}/matches`, { contestant: contestant.value, outcome: outcome.value, judge: judge.value, limit: PAGE, cursor });
  }

  async function refresh() {
    turn += 1;
    const mine = turn;
    if (!place.children.length) fill(place, skeleton(3));
    try {
      const found = await page(null);
      if (mine !== turn) return;
      const filtered = outcome.value || judge.value;
      fill(place, found.items.length ? cards(found.items) : h("p.pl-muted", filtered ? "No match is like that." : "There are no matches yet."));
      further(found.next_cursor);
    } catch (error) {
      fill(place, errorCard(error, refresh));
    }
  }

  const cards = (items) => items.map((match) => card(match, names, contestant.value, evaluation));

  function further(cursor) {
    fill(more, cursor && button("Show more", async () => {
      const found = await page(cursor);
      place.append(...cards(found.items));
      further(found.next_cursor);
    }));
  }

  return { element, refresh };
}

// The chosen contestant stands on the left of its matches.
function card(match, names, left, evaluation) {
  const turned = match.b.checkpoint_id === left;
  const sides = turned ? [match.b, match.a] : [match.a, match.b];
  const score = match.score === null || !turned ? match.score : 1 - match.score;
  const last = match.prompt[match.prompt.length - 1];
  const earlier = match.prompt.slice(0, -1);
  return h(
    "article.pl-card.pl-eval-match",
    h("div.pl-eval-prompt", h("span.pl-muted", `${count(match.position + 1)}.`),
      h("div.pl-grow", earlier.length ? h("details", h("summary", `${earlier.length} earlier turns`), earlier.map((one) => html(one.html))) : null, html(last.html)), verdictBadge(score, match.verdicts)),
    h("div.pl-eval-sides", sides.map((side, index) => response(side, names, score !== null && score !== 0.5 && (score > 0.5) === (index === 0)))),
    match.verdicts.length ? h("details", h("summary.pl-muted", `${count(match.verdicts.length)} verdicts`), h("ul.pl-eval-verdicts", match.verdicts.map((one) => h("li", verdict(one, turned, evaluation))))) : null,
  );
}

function verdictBadge(score, verdicts) {
  if (score === null) return badge(verdicts.length ? "undecided" : "not judged", verdicts.length ? "warn" : "");
  const said = new Set(verdicts.filter((one) => one.source === "judge" && one.probability !== null).map((one) => Math.sign(one.probability - 0.5)));
  if (said.size > 1) return badge("contradicted", "warn");
  return score === 0.5 ? badge("tie") : score > 0.5 ? badge("left won", "good") : badge("right won", "good");
}

function response(side, names, best) {
  return h("div.pl-eval-response", { class: best ? "best" : "" },
    h("div.pl-row.tight", h("strong.pl-cut", { title: names[side.checkpoint_id] }, names[side.checkpoint_id]), best ? badge("✓ better", "good") : null, side.ended === false ? badge("cut off", "warn") : null),
    side.message ? body(side.message) : h("p.pl-muted", side.error || "No answer yet."));
}

const body = (message) => (message.text ? html(message.html) : h("p.pl-muted", "(an empty answer)"));

// One verdict in words, seen from the left.
function verdict(one, turned, evaluation) {
  const who = one.source === "person" ? "A person" : judgeName(one.judge, evaluation);
  const order = one.source === "judge" ? ` (${one.swapped === turned ? "this" : "the other"} side order)` : "";
  const left = one.probability === null ? null : turned ? 1 - one.probability : one.probability;
  const said = left === null ? one.reason.replace(/\.$/, "") : left === 0.5 ? "a tie" : `${left > 0.5 ? "left" : "right"} is better${left % 1 ? ` (${percent(Math.max(left, 1 - left))})` : ""}`;
  const scores = one.scores ? (turned ? [...one.scores].reverse() : one.scores) : [];
  const measured = scores.map((side, index) => Object.entries(side).slice(0, 1).map(([name, value]) => `${index ? "right" : "left"} ${name} ${number(value, 3)}`).join("")).filter(Boolean).join(", ");
  const words = measured || !one.text ? null : one.text;
  return [`${who}${order}: ${said}.`, measured && h("span.pl-muted", ` ${measured}.`), words && h("span.pl-muted.pl-eval-words", ` “${words}”`)];
}
