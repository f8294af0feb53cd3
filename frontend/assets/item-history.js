// What happened to an item, the newest first, in words.

import { get } from "./api.js";
import { badge, button, errorCard, fill, h, skeleton, toastError } from "./dom.js";
import { ago } from "./format.js";
import { verdict } from "./items.js";

const PAGE = 50;
const WORDS = {
  added: "came into the dataset", leased: "was handed to", labelled: "was labelled", changed: "was judged anew", undone: "had a label taken back", skipped: "was skipped",
  imported: "came with a label", judged: "was judged by a model", voted: "got a vote", adjudicated: "was adjudicated", edited: "was made of an edit",
  gold_set: "was made gold", gold_removed: "was made an ordinary item again", withdrawn: "was withdrawn", restored: "was restored", frozen: "went into a snapshot",
};

export function history(id) {
  const list = h("ol.pl-history", skeleton(3));
  const foot = h("div.pl-row.center");
  const more = async (cursor) => {
    try {
      const page = await get(`/items/${id}/history`, { cursor, limit: PAGE });
      if (!cursor) fill(list);
      list.append(...page.items.map(line));
      fill(foot, page.next_cursor ? button("Show earlier", () => more(page.next_cursor)) : null);
    } catch (error) {
      if (cursor) toastError(error);
      else fill(list, h("li", errorCard(error, () => more(null))));
    }
  };
  more(null);
  return h("section.pl-stack.tight", h("h2", "History"), list, foot);
}

function line(one) {
  const says = one.value ? `: ${verdict(one.value, one.source || "person")}` : "";
  const details = [one.task ? `in “${one.task}”` : null, one.seconds === null ? null : `${Math.round(one.seconds)} s`].filter(Boolean).join(", ");
  return h("li", h("span.pl-history-when", ago(one.at)),
    h("span", h("strong", WORDS[one.kind] || one.kind), one.by ? ` ${one.kind === "leased" ? "" : "by "}${one.by}` : "", says, details ? h("span.pl-muted", ` (${details})`) : null, one.surplus ? [" ", badge("surplus", "warn")] : null,
      one.text ? h("q.pl-wrap", one.text) : null));
}
