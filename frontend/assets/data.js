// Data: the datasets with their size, labelled share and last use; imports that are under way come first.

import { get } from "./api.js";
import { badge, button, empty, errorCard, fill, h, link, progress, skeleton, stateBadge, table, toastError } from "./dom.js";
import { ago, bytes, count, percent } from "./format.js";
import { nouns } from "./kinds.js";
import { actions, param, setParam } from "./frame.js";
import { bind } from "./keys.js";
import { live } from "./live.js";

const ENDED = new Set(["succeeded", "failed", "cancelled", "lost"]);
const toImport = () => location.assign("/import");

export async function mount(element) {
  const under = h("section.pl-stack.tight", { "aria-label": "Imports under way", hidden: true });
  const list = h("section.pl-stack", skeleton(5));
  const search = h("input.pl-input.pl-search", { type: "search", placeholder: "Search by name", "aria-label": "Search datasets", maxlength: 200, value: param("q") || "" });
  element.append(h("div.pl-page.pl-stack", under, h("div.pl-row", search), list));
  bind("import", "i", "Import data", toImport);
  actions(button("Import data", toImport, { kind: "primary", key: "I" }));

  let waiting = null;
  search.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(() => {
      setParam("q", search.value.trim());
      show(list, search.value.trim());
    }, 200);
  });
  show(list, search.value.trim());
  watchImports(under, () => show(list, search.value.trim()));
}

let asked = 0; // an answer that a later question has overtaken is dropped

async function show(place, search) {
  const turn = (asked += 1);
  try {
    const page = await get("/datasets", { search, limit: 50 });
    if (turn === asked) draw(place, page, search);
  } catch (error) {
    if (turn === asked) fill(place, errorCard(error, () => show(place, search)));
  }
}

function draw(place, page, search) {
  if (!page.items.length) {
    fill(place, search ? empty("No dataset has this name", "Try a part of the name, or look at all of them.") : nothing());
    return;
  }
  const shown = [...page.items];
  const drawTable = (cursor) =>
    fill(place, table("Datasets", COLUMNS, shown, { onrow: (set) => location.assign(`/dataset?id=${set.id}`) }), cursor ? more(cursor) : null);
  const more = (cursor) =>
    h("div.pl-row.center", button("Show more", async () => {
      try {
        const next = await get("/datasets", { search, limit: 50, cursor });
        shown.push(...next.items);
        drawTable(next.next_cursor);
      } catch (error) {
        toastError(error);
      }
    }));
  drawTable(page.next_cursor);
}

const nothing = () =>
  empty("No data yet", "Import preference pairs from a JSONL, JSON or Parquet file: chosen and rejected answers, transcripts, or pairs still to be judged.",
    button("Import data", toImport, { kind: "primary" }));

const COLUMNS = [
  { title: "Name", cell: (set) => [link(set.name, `/dataset?id=${set.id}`), " ", set.toy ? badge("toy", "warn") : null] },
  { title: "Kind", cell: (set) => nouns(set.kind) },
  { title: "Items", cell: (set) => count(set.items), kind: "number" },
  { title: "Labelled", cell: labelled, kind: "number", hint: "Items that somebody or an imported file has judged" },
  { title: "Last used", cell: (set) => ago(set.last_used_at), hint: "When its pairs were last frozen for a run" },
  { title: "Made", cell: (set) => ago(set.created_at) },
];

function labelled(set) {
  if (set.kind !== "paired" || !set.items) return "–";
  return h("span", { title: `${count(set.labelled)} of ${count(set.items)}` }, percent(set.labelled / set.items), progress(set.labelled, set.items, `Labelled share of ${set.name}`));
}

// Imports under way, every second; when one ends the list below is drawn anew.
function watchImports(place, onend) {
  let running = new Set();
  live(
    async () => {
      const { items } = await get("/imports", { limit: 20 });
      const active = items.filter((one) => !ENDED.has(one.state));
      fill(place, active.map(line));
      place.hidden = !active.length;
      const now = new Set(active.map((one) => one.id));
      if ([...running].some((id) => !now.has(id))) onend();
      running = now;
      return active.length > 0;
    },
    { seconds: 1, slowest: 15 },
  );
}

const line = (one) =>
  h("a.pl-card.clickable", { href: `/import?import=${one.id}` },
    h("div.pl-row.between", h("span.pl-row", stateBadge(one.state), h("strong.pl-cut", one.name)), h("span.pl-muted", `${bytes(one.bytes_read)} of ${bytes(one.bytes_total)}`)),
    progress(one.bytes_read, one.bytes_total, `Import of ${one.name}`));
