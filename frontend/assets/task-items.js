// The items of a task's dataset, each with the way to all that is known of it; and the ones whose answer is known.

import { get } from "./api.js";
import { button, errorCard, fill, h, link, skeleton, table, toastError } from "./dom.js";
import { itemList } from "./dataset-items.js";
import { ago, count, percent } from "./format.js";
import { verdict } from "./items.js";

export class TaskItems {
  constructor(task) {
    this.task = task;
    this.golds = h("div.pl-stack.tight", skeleton(2));
    this.element = h("div.pl-stack",
      h("section.pl-card.pl-stack.tight", h("h2", "Gold items"), h("p.pl-muted", gold(task)), this.golds),
      itemList({ id: task.dataset_id }, task.id));
    this.draw();
  }

  async draw() {
    const ask = (cursor) => get(`/datasets/${this.task.dataset_id}/golds`, { cursor, limit: 50 });
    try {
      const page = await ask(null);
      fill(this.golds, page.items.length ? table("Gold items", columns(this.task), page.items) : h("p", "None yet. Open an item below whose answer you are sure of and choose “Make it gold”, or adjudicate some: an adjudicated item can become gold with one key."));
      if (page.next_cursor) this.more(ask, page.next_cursor);
    } catch (error) {
      fill(this.golds, errorCard(error, () => this.draw()));
    }
  }

  more(ask, cursor) {
    const row = h("div.pl-row.center", button("Show more", async () => {
      try {
        const page = await ask(cursor);
        row.replaceWith(table("More gold items", columns(this.task), page.items));
        if (page.next_cursor) this.more(ask, page.next_cursor);
      } catch (error) {
        toastError(error);
      }
    }));
    this.golds.append(row);
  }
}

const gold = (task) => (task.gold_share
  ? `${percent(task.gold_share)} of the cards of this task are gold, unseen among the others. How often each person is right about them stands under “Annotators”.`
  : "This task mixes none in: set a gold share with “Edit”, and items with a known answer come unseen among the others.");

const columns = (task) => [
  { title: "Item", cell: (one) => link(`#${count(one.position + 1)}`, `/item?id=${one.item_id}&task=${task.id}`) },
  { title: "Known answer", cell: (one) => verdict(one.value, "person") },
  { title: "Note", cell: (one) => h("span.pl-wrap", one.note) },
  { title: "Since", cell: (one) => ago(one.created_at) },
];
