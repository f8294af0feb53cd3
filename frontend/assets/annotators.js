// Who labels how: of each person the numbers with their intervals, and in plain words what looks wrong.

import { get } from "./api.js";
import { badge, errorCard, fill, h, link, skeleton, table } from "./dom.js";
import { doubts } from "./annotator-doubts.js";
import { count, number, percent } from "./format.js";
import { intervalLine } from "./interval.js";
import { latest } from "./live.js";
import { labelsOf } from "./quality-scope.js";

export class People {
  // `scope()` is what the numbers are of, as it is now.
  constructor(scope) {
    this.scope = scope;
    this.place = h("div.pl-stack", skeleton(5));
    this.element = this.place;
    this.drawn = "";
    this.newest = latest();
  }

  async refresh() {
    const scope = this.scope();
    const current = this.newest();
    try {
      const { items, next_cursor: more, too_fast_rule: rule } = await get(`${scope.path}/annotators`, { limit: 200 });
      const state = JSON.stringify(items);
      if (!current() || state === this.drawn) return;
      this.drawn = state;
      fill(this.place, items.length ? draw(scope, items, more, rule) : h("p.pl-muted", "Nobody has labelled yet. What each person does, and how well, stands here as soon as somebody has."));
    } catch (error) {
      if (current() && !this.drawn) fill(this.place, errorCard(error, () => this.refresh()));
    }
  }
}

function draw(scope, items, more, rule) {
  const told = items.map((one) => ({ ...one, doubts: doubts(one) }));
  const marked = told.filter((one) => one.doubts.length);
  return [
    marked.length
      ? h("section.pl-card.warn.pl-stack.tight", { "aria-label": "What looks wrong" }, h("h2", "Worth a look"), h("ul.pl-doubts", marked.flatMap((one) => one.doubts.map((doubt) => h("li", h("strong", one.name), ` ${doubt.words}. `, h("span.pl-muted", doubt.what))))))
      : h("p.pl-muted", "Nothing looks wrong beyond what chance does. People with fewer than 20 labels are not judged."),
    table("Annotators", [named(scope), ...COLUMNS], told),
    h("p.pl-muted.pl-note", "Lines are 95 % intervals; the dashed mark is an even split. Others’ majority leaves the person out. ", rule, more ? " The 200 with most labels are shown." : ""),
  ];
}

const line = (rate, mark = null) => (rate && rate.value !== null
  ? h("div.pl-rate-cell", h("span", percent(rate.value), h("span.pl-muted", ` of ${count(rate.n)}`)), intervalLine(rate, { mark, label: `${percent(rate.value)}, from ${percent(rate.low)} to ${percent(rate.high)}` }))
  : h("span.pl-muted", { title: rate?.reason || null }, "–"));
const side = (test) => line(test?.rate, 0.5);

const named = (scope) => ({ title: "Annotator", hint: "Opens every label of theirs", cell: (one) => [link(one.name, labelsOf(scope, one), "pl-snug"), one.doubts.length ? [" ", badge(`⚠ ${one.doubts.length}`, "warn")] : null] });
const COLUMNS = [
  { title: "Labels", kind: "number", cell: (one) => count(one.labels) },
  { title: "Gold", cell: (one) => line(one.gold), hint: "Share of gold items answered as known" },
  { title: "With others", cell: (one) => line(one.agreement), hint: "Share of items on which they said what most others said" },
  { title: "Left side", cell: (one) => side(one.left_side), hint: "Share of choices for the response on the left; sides are random" },
  { title: "Longer", cell: (one) => side(one.longer_side), hint: "Share of choices for the longer response" },
  { title: "Ties", cell: (one) => line(one.ties) },
  { title: "Too fast", cell: (one) => line(one.too_fast) },
  { title: "Seconds", kind: "number", cell: (one) => number(one.median_seconds, 3), hint: "Median of their labels" },
];
