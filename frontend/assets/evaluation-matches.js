// An evaluation's matches, prompt by prompt: filtered, side by side, with every verdict, and what can be made of them.

import { get } from "./api.js";
import { badge, button, errorCard, fill, h, html, link, named, skeleton } from "./dom.js";
import { count, number, percent, plural } from "./format.js";
import { judgeName } from "./judge-name.js";
import { filterNow, filterTail, matchFilter } from "./match-filter.js";
import { dataActions } from "./matches-data.js";

const PAGE = 10;

export function matchList(evaluation) {
  const names = Object.fromEntries(evaluation.contestants.map((one) => [one.id, one.name]));
  const place = h("div.pl-stack.tight");
  const more = h("div.pl-row.center");
  const words = h("span.pl-muted", { role: "status" });
  const make = h("div.pl-row");
  const grid = link("Grid", `/grid?id=${evaluation.id}`, "pl-button small");
  const bar = matchFilter(evaluation, () => refresh());
  const element = h("section.pl-stack.tight",
    h("div.pl-row.between", h("div.pl-row", h("h2", "Matches"), words), h("div.pl-row", make, grid)), bar.element, place, more);
  let turn = 0;

  const page = (cursor) => get(`/evaluations/${evaluation.id}/matches`, { ...filterNow(), limit: PAGE, cursor });

  async function refresh() {
    turn += 1;
    const mine = turn;
    grid.href = `/grid?id=${evaluation.id}${filterTail()}`;
    if (!place.children.length) fill(place, skeleton(3));
    try {
      const found = await page(null);
      if (mine !== turn) return;
      const filtered = Object.keys(filterNow()).length > 0;
      fill(place, found.items.length ? cards(found.items) : h("p.pl-muted", filtered ? "No match is like that. Take something out of the filter." : "There are no matches yet."));
      further(found.next_cursor);
      const outline = await get(`/evaluations/${evaluation.id}/grid`, filterNow());
      if (mine === turn) tell(outline, filtered);
    } catch (error) {
      if (mine === turn) fill(place, errorCard(error, refresh));
    }
  }

  function tell({ matches, categories }, filtered) {
    words.textContent = `${plural(matches, "match", "matches")}${filtered ? " like that" : ""}`;
    bar.categories(categories);
    fill(make, dataActions(evaluation, matches));
  }

  const cards = (items) => items.map((match) => card(match, names, filterNow().contestant, evaluation));

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
      h("div.pl-grow", earlier.length ? h("details", h("summary", `${earlier.length} earlier turns`), earlier.map((one) => html(one.html))) : null, html(last.html)), verdictBadge(score, match.verdicts), link("Open", `/match?id=${match.id}${filterTail()}`, "pl-button small")),
    h("div.pl-eval-sides", sides.map((side, index) => response(side, names, score !== null && score !== 0.5 && (score > 0.5) === (index === 0)))),
    match.verdicts.length ? h("details", h("summary.pl-muted", plural(match.verdicts.length, "verdict")), h("ul.pl-eval-verdicts", match.verdicts.map((one) => h("li", verdict(one, turned, evaluation))))) : null,
  );
}

function verdictBadge(score, verdicts) {
  if (score === null) return badge(verdicts.length ? "undecided" : "not judged", verdicts.length ? "warn" : "");
  const told = verdicts.filter((one) => one.source === "judge" && one.probability !== null);
  const turned = (judge) => new Set(told.filter((one) => one.judge === judge).map((one) => Math.sign(one.probability - 0.5))).size > 1;
  if (told.some((one) => turned(one.judge))) return badge("contradicted", "warn");
  return score === 0.5 ? badge("tie") : score > 0.5 ? badge("left won", "good") : badge("right won", "good");
}

function response(side, names, best) {
  return h("div.pl-eval-response", { class: best ? "best" : "" },
    h("div.pl-row.tight", named(names[side.checkpoint_id], "strong"), best ? badge("✓ better", "good") : null, side.ended === false ? badge("cut off", "warn") : null),
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
