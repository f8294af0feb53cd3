// Step 3 of an import: progress, cancel, and at the end the dataset or the reason why there is none.

import { get, post } from "./api.js";
import { button, errorCard, fill, h, link, progress, skeleton, stateBadge, table, toastError } from "./dom.js";
import { bytes, count, duration, percent, plural } from "./format.js";
import { problemColumns } from "./items.js";
import { live } from "./live.js";

const ENDED = new Set(["succeeded", "failed", "cancelled", "lost"]);

export function watchStep(place, id, ways) {
  fill(place, skeleton(4));
  let before = "";
  const watch = live(
    async () => {
      const row = await get(`/imports/${id}`);
      const now = JSON.stringify(row);
      if (now !== before) draw(place, row, () => watch.now(), ways);
      const changed = now !== before;
      before = now;
      return ENDED.has(row.state) ? "done" : changed;
    },
    { seconds: 0.5, slowest: 2, onerror: (error) => before || fill(place, errorCard(error, () => watchStep(place, id, ways))) },
  );
}

function draw(place, row, refresh, ways) {
  const ended = ENDED.has(row.state);
  fill(place,
    h("section.pl-card.pl-stack", { class: row.state === "succeeded" ? "good" : row.state === "failed" ? "bad" : "" },
      h("div.pl-row.between", h("h2.pl-cut", row.name), stateBadge(row.state)),
      h("p", { role: "status" }, ended ? outcome(row) : under(row)),
      ended ? null : progress(row.bytes_read, row.bytes_total, "Import"),
      row.remedy ? h("p.pl-muted", row.remedy) : null,
      h("div.pl-row", ended ? next(row, ways) : cancel(row, refresh))),
    warnings(row),
    errors(row));
}

function under(row) {
  if (row.state === "queued") return "Waiting for a worker…";
  if (row.state === "stopping") return "Stopping; nothing will be kept…";
  const rows = row.rows_good + row.rows_bad + row.rows_doubled;
  return `${bytes(row.bytes_read)} of ${bytes(row.bytes_total)} read (${percent(row.bytes_total ? row.bytes_read / row.bytes_total : 0)}), ${plural(rows, "row")} so far`;
}

function outcome(row) {
  if (row.state !== "succeeded") return row.reason;
  const seconds = (new Date(row.finished_at) - new Date(row.started_at)) / 1000;
  const left = [
    row.rows_bad && `${plural(row.rows_bad, "bad row")} left out`,
    row.rows_doubled && `${plural(row.rows_doubled, "double")} skipped`,
  ].filter(Boolean);
  return `${plural(row.rows_good, "item")} imported in ${seconds < 1 ? "under a second" : duration(seconds)}${left.length ? `; ${left.join(", ")}` : ""}.`;
}

function cancel(row, refresh) {
  if (row.stop_requested) return null;
  return button("Cancel", async () => {
    try {
      await post(`/imports/${row.id}/cancel`);
      refresh();
    } catch (error) {
      toastError(error);
    }
  });
}

function next(row, { again, choose }) {
  if (row.state !== "succeeded") return [button("Try again", again, { kind: "primary" }), button("Choose another file", choose)];
  return [
    button("Open the dataset", () => location.assign(`/dataset?id=${row.dataset_id}`), { kind: "primary" }),
    labelling(row),
    button("Import another file", choose),
  ];
}

// A way to label, once it is known that the dataset holds pairs.
function labelling(row) {
  const place = h("span");
  get(`/datasets/${row.dataset_id}`).then((dataset) => {
    if (dataset.kind === "paired") place.replaceWith(button("Label this", () => location.assign(`/label?dataset=${row.dataset_id}`)));
    else place.remove();
  }, () => place.remove());
  return place;
}

function warnings(row) {
  if (!row.warnings.length) return null;
  const columns = [
    { title: "Rows", cell: (one) => count(one.count), kind: "number" },
    { title: "First at line", cell: (one) => count(one.line), kind: "number" },
    { title: "What was noticed", cell: (one) => h("span.pl-wrap", one.reason) },
  ];
  return h("section.pl-stack.tight", h("h2", "Noticed"), table("Warnings", columns, row.warnings));
}

export function errors(row) {
  if (!row.errors.length) return null;
  const kept = row.errors.length < row.rows_bad ? ` (the first ${count(row.errors.length)} are kept)` : "";
  return h("section.pl-stack.tight",
    h("div.pl-row.between", h("h2", `${plural(row.rows_bad, "bad row")}${kept}`), link("Download the list", `/api/v1/imports/${row.id}/errors`)),
    table("Bad rows", problemColumns, row.errors.slice(0, 200)),
    row.errors.length > 200 ? h("p.pl-muted", "The first 200 are shown; the download holds the rest.") : null);
}
