// Every label of one annotator in a task or a dataset, every version, newest first: what the numbers about them are
// counted of.

import { get } from "./api.js";
import { badge, button, errorCard, fill, h, link, skeleton, table, toastError } from "./dom.js";
import { ago, count, number } from "./format.js";
import { verdict } from "./items.js";

const AT_ONCE = 50;

export class AnnotatorLabels {
  // `who` is {annotator_id} or {name}.
  constructor(scope, who) {
    this.scope = scope;
    this.who = who;
    this.title = h("h2", "Labels of one annotator");
    this.place = h("div.pl-stack.tight", skeleton(5));
    this.element = h("section.pl-stack.tight", { "aria-label": "Labels of one annotator" }, h("div.pl-row.between", this.title, link("All annotators", scope.page, "pl-button small")), this.place);
    this.draw();
  }

  ask(cursor = null) {
    return get(this.scope.labels, { ...this.who, cursor, limit: AT_ONCE });
  }

  async draw() {
    try {
      const page = await this.ask();
      const [newest] = page.items;
      fill(this.title, newest ? `Labels of ${newest.annotator}` : "No label");
      fill(this.place, newest ? table("Labels", columns(this.scope), page.items) : h("p.pl-muted", "This person has said nothing here."));
      this.more(page.next_cursor);
    } catch (error) {
      fill(this.place, errorCard(error, () => this.draw()));
    }
  }

  more(cursor) {
    if (!cursor) return;
    const row = h("div.pl-row.center", button("Show more", async () => {
      try {
        const page = await this.ask(cursor);
        row.replaceWith(table("More labels", columns(this.scope), page.items));
        this.more(page.next_cursor);
      } catch (error) {
        toastError(error);
      }
    }));
    this.place.append(row);
  }
}

const marks = (one) => [!one.counts && !one.value.retracted && "replaced", one.surplus && "surplus", one.aided && "saw a suggestion"].filter(Boolean);

const columns = (scope) => [
  { title: "Item", cell: (one) => link(`#${count(one.position + 1)}`, scope.item(one.item_id)) },
  { title: "Says", cell: (one) => [h("span.pl-snug", verdict(one.value, one.source)), marks(one).map((words) => [" ", badge(words)])] },
  { title: "Side", cell: (one) => one.side || "", hint: "Where the response stood that was chosen of two" },
  { title: "Reason", cell: (one) => h("span.pl-wrap", one.rationale || one.value.skip || "") },
  { title: "Seconds", kind: "number", cell: (one) => number(one.seconds, 3) },
  { title: "Version", kind: "number", cell: (one) => count(one.version) },
  { title: "When", cell: (one) => ago(one.created_at) },
];
