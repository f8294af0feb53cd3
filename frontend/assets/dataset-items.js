// The items of a dataset: paged, searched in prompts and responses, filtered by split; the filter is in the address.

import { get } from "./api.js";
import { badge, button, errorCard, fill, h, link, skeleton, toastError } from "./dom.js";
import { count } from "./format.js";
import { param, setParam } from "./frame.js";
import { itemCard } from "./items.js";

const PAGE = 20;
const SPLITS = ["train", "validation", "test"];

// With `task`, whose page shows them, an item's page leads back there.
export function itemList(dataset, task = null) {
  const search = h("input.pl-input.pl-search", { type: "search", placeholder: "Search prompts and responses", "aria-label": "Search items", maxlength: 200, value: param("q") || "" });
  const split = h("select.pl-input.pl-split-choice", { "aria-label": "Split" }, h("option", { value: "" }, "All splits"),
    SPLITS.map((name) => h("option", { value: name, selected: name === param("split") }, name)));
  const list = h("div.pl-stack", skeleton(4));
  let turn = 0;

  const card = (item) => drawCard(item, task);
  const ask = (cursor) => get(`/datasets/${dataset.id}/items`, { search: search.value.trim(), split: split.value, limit: PAGE, cursor });
  const show = async () => {
    setParam("q", search.value.trim());
    setParam("split", split.value);
    const mine = (turn += 1);
    try {
      const page = await ask(null);
      if (mine !== turn) return;
      fill(list, page.items.length ? page.items.map(card) : h("p.pl-muted", nothing(search.value.trim() || split.value, page.next_cursor)), more(page));
    } catch (error) {
      if (mine === turn) fill(list, errorCard(error, show));
    }
  };
  const more = ({ items, next_cursor: cursor }) => {
    if (!cursor) return null;
    const row = h("div.pl-row.center", button(items.length < PAGE ? "Search on" : "Show more", async () => {
      try {
        const page = await ask(cursor);
        row.replaceWith(...page.items.map(card), more(page) || "");
      } catch (error) {
        toastError(error);
      }
    }));
    return row;
  };

  let waiting = null;
  search.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(show, 250);
  });
  split.addEventListener("change", show);
  show();
  return h("section.pl-stack", h("div.pl-row.between", h("h2", "Items"), h("div.pl-row", search, split)), list);
}

// A search looks at so many items at a time: without a find, and with more to look at, it is not over.
const nothing = (filtered, unfinished) => (unfinished ? "No item of those looked at so far fits this search." : filtered ? "No item fits this search." : "This dataset is empty.");
const drawCard = (item, task) => itemCard(item, link(`#${count(item.position + 1)}`, `/item?id=${item.id}${task ? `&task=${task}` : ""}`), badge(item.split), item.withdrawn_at ? badge("withdrawn", "warn") : null);
