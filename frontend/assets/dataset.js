// One dataset: numbers, lengths, items to page through and search, snapshots, where it came from, and what to do with it.

import { all, get, newKey, post } from "./api.js";
import { datasetAccuracy } from "./accuracy.js";
import { histogram } from "./charts.js";
import { badge, button, dialog, empty, errorCard, fill, h, link, skeleton, stateBadge, table, toast, toastError } from "./dom.js";
import { ago, count, percent, plural } from "./format.js";
import { actions, param, title } from "./frame.js";
import { convertDialog, madeFrom } from "./dataset-convert.js";
import { exportDialog } from "./dataset-export.js";
import { itemList } from "./dataset-items.js";
import { datasetTasks } from "./dataset-tasks.js";
import { errors } from "./import-watch.js";
import { noun, nouns, purpose } from "./kinds.js";
import { load } from "./live.js";
import { asBody, choosable, policyFields, preview } from "./policy.js";
import { labelable } from "./task-words.js";

const SINGLE = ["demonstrations", "unpaired", "ranked"]; // what is trained on without a label

export async function mount(element) {
  const page = h("div.pl-page.pl-stack");
  element.append(page);
  const id = param("id");
  if (!id) {
    page.append(empty("Which dataset?", "The address names none.", button("All datasets", () => location.assign("/data"), { kind: "primary" })));
    return;
  }
  await load(page, () => get(`/datasets/${encodeURIComponent(id)}`), (dataset) => draw(page, dataset));
}

function draw(page, dataset) {
  title(dataset.name);
  const paired = dataset.kind === "paired";
  const labelled = dataset.labelled > 0;
  actions(
    button("Export", () => exportDialog(dataset)),
    dataset.kind !== "prompts" && button("Convert", () => convertDialog(dataset)),
    SINGLE.includes(dataset.kind) && button("Train on this", () => location.assign(`/new-run?dataset=${dataset.id}`), { kind: "primary" }),
    paired && button("Train on this", () => location.assign(`/new-run?dataset=${dataset.id}`), { disabled: labelled ? null : "No labelled pair yet: label some first." }),
    labelable(dataset) && button("Label this", () => location.assign(`/new-task?dataset=${dataset.id}`), { kind: paired ? "primary" : "" }),
  );
  const snapshots = h("section.pl-stack.tight");
  const log = h("section.pl-stack.tight");
  page.append(
    dataset.description || dataset.toy
      ? h("div.pl-row", dataset.toy ? badge("toy", "warn") : null, h("span.pl-muted", dataset.description || "Made for learning: its true preferences are known."))
      : "",
    paired ? "" : h("p.pl-muted", purpose(dataset.kind)),
    numbers(dataset),
    dataset.kind === "prompts" ? "" : h("section.pl-card", h("h2", "Length of the responses"), lengths(dataset)),
    datasetTasks(dataset),
    itemList(dataset),
    paired ? datasetAccuracy(dataset) : "",
    snapshots,
    log,
  );
  if (paired || SINGLE.includes(dataset.kind)) drawSnapshots(snapshots, dataset);
  drawLog(log, dataset);
}

const FROM = { person: "from people", import: "imported", judge: "from judges", vote: "from votes", adjudication: "adjudicated" };

function numbers(dataset) {
  const stat = (number, words, hint) => h("div.pl-card.pl-stat", { title: hint || null }, h("strong", number), h("span", words));
  const part = (split) => `${count(dataset.splits[split] || 0)} ${split}`;
  const sources = Object.entries(dataset.sources).map(([source, number]) => `${count(number)} ${FROM[source] || source}`).join(" · ");
  return h("section.pl-numbers", { "aria-label": "Numbers" },
    stat(count(dataset.items), nouns(dataset.kind)),
    dataset.kind === "paired" ? stat(dataset.items ? percent(dataset.labelled / dataset.items) : "–", `labelled (${count(dataset.labelled)})`) : null,
    dataset.kind === "paired" ? stat(count(dataset.labels), `labels on record${sources && `: ${sources}`}, changed, undone and skipped ones too`, "Labels by where they come from, every version counted") : null,
    h("div.pl-card.pl-stat", { title: "Fixed for life by the prompt: a test prompt never enters training" }, h("strong", part("train")), h("span", `${part("validation")} · ${part("test")}`)));
}

function lengths(dataset) {
  if (!dataset.lengths.length) return h("p.pl-muted", "There are no responses to measure.");
  const place = h("div");
  const bins = dataset.lengths.map((bar) => ({ from: bar.low, to: bar.high, count: bar.responses }));
  const last = bins.at(-1);
  const width = bins[0].to - bins[0].from;
  const tail = last.to - last.from > width ? ` The last bar holds all up to ${plural(last.to - 1, "character")}.` : "";
  last.to = last.from + width;
  const sample = dataset.length_sample < dataset.items ? `A sample of ${plural(dataset.length_sample, "item")}.` : `All ${plural(dataset.items, "item")}.`;
  requestAnimationFrame(() => histogram(place, { x: "Characters", y: "Responses", bins }));
  return [place, h("p.pl-muted", sample + tail)];
}

async function drawSnapshots(place, dataset) {
  const refresh = () => drawSnapshots(place, dataset);
  await load(place, () => get("/snapshots", { dataset_id: dataset.id, limit: 50 }), ({ items }) => {
    place.append(
      h("div.pl-row.between", h("h2", "Snapshots"), button("Freeze now", () => freezeDialog(dataset, refresh), { kind: "small", title: "Keep the decided pairs, or the answers, as they are, for a run to train on" })),
      table("Snapshots", SNAPSHOT_COLUMNS.filter((one) => dataset.kind === "paired" || one.title !== "Whose labels"), items, { none: "None yet. A run freezes one by itself when it starts." }),
    );
  });
}

const SNAPSHOT_COLUMNS = [
  { title: "Hash", cell: (row) => h("span.pl-mono", { title: row.hash }, row.hash.slice(0, 12)) },
  { title: "Train", cell: (row) => count(row.counts.train || 0), kind: "number" },
  { title: "Validation", cell: (row) => count(row.counts.validation || 0), kind: "number" },
  { title: "Test", cell: (row) => count(row.counts.test || 0), kind: "number", hint: "Kept apart, never trained on" },
  { title: "Left out", cell: leftOut },
  { title: "Policy", cell: (row) => h("span.pl-policy-words", row.policy_words) },
  { title: "Made", cell: (row) => ago(row.created_at) },
];

const WHY = { unlabelled: "unlabelled", tie: "ties", both_bad: "both bad", skipped: "skipped", other_sources: "without a label from where it counts", too_few_votes: "too few votes", too_close: "under the margin", not_adjudicated: "not adjudicated", not_wanted: "not wanted", surplus: "surplus alone", unranked: "without ranks or scores", media: "with pictures, sound, video or files" };

function leftOut(row) {
  const parts = Object.entries(row.counts.left_out || {}).map(([why, number]) => `${count(number)} ${WHY[why] || why}`);
  return parts.join(", ") || "–";
}

function freezeDialog(dataset, refresh) {
  return dialog("Freeze", (close) => {
    const place = h("div", skeleton(4));
    choosable(dataset).then((tasks) => fill(place, freezeForm(dataset, tasks, refresh, close)), (error) => fill(place, errorCard(error)));
    return place;
  }, { wide: true });
}

function freezeForm(dataset, tasks, refresh, close) {
  const found = h("div.pl-stack.tight", { "aria-live": "polite" });
  const go = button("Freeze", async () => { await freeze(dataset, asBody(policy.chosen()), refresh); close(); }, { kind: "primary" });
  const look = async () => { go.disabled = true; go.disabled = !(await preview(found, dataset, policy.chosen())); };
  const policy = policyFields({ kind: dataset.kind, tasks, onchange: look });
  look();
  return h("div.pl-stack", h("p.pl-muted", "Examples are kept as they are now, for runs to train on; the snapshot says by which choices."), policy.element, found,
    h("div.pl-row.end", button("Cancel", () => close()), go));
}

async function freeze(dataset, policy, refresh) {
  try {
    const row = await post(`/datasets/${dataset.id}/snapshots`, { policy }, { key: newKey() });
    toast(`Snapshot ${row.hash.slice(0, 12)} holds ${plural((row.counts.train || 0) + (row.counts.validation || 0) + (row.counts.test || 0), noun(dataset.kind))}.`);
    refresh();
  } catch (error) {
    toastError(error);
  }
}

// Said of a dataset without imports.
function origin({ sources }) {
  const from = Object.keys(sources);
  if (from.length && from.every((source) => ["vote", "judge"].includes(source))) return "Made here, from votes and verdicts on answers.";
  return "No file was imported into it: it came with Plumbline or was made here.";
}

async function drawLog(place, dataset) {
  const read = async () => {
    const rows = [];
    for await (const row of all("/imports", { dataset_id: dataset.id })) rows.push(await get(`/imports/${row.id}`));
    return rows;
  };
  await load(place, read, (rows) => {
    place.append(h("h2", "Where it came from"));
    if (!rows.length) place.append(madeFrom(dataset) || h("p.pl-muted", origin(dataset)));
    else place.append(table("Imports", LOG_COLUMNS, rows), ...rows.map(errors).filter(Boolean));
  });
}

const LOG_COLUMNS = [
  { title: "File", cell: (row) => link(row.filename, `/import?import=${row.id}`) },
  { title: "Format", cell: (row) => row.format },
  { title: "State", cell: (row) => stateBadge(row.state) },
  { title: "Imported", cell: (row) => count(row.rows_good), kind: "number" },
  { title: "Bad", cell: (row) => count(row.rows_bad), kind: "number" },
  { title: "Doubles", cell: (row) => count(row.rows_doubled), kind: "number" },
  { title: "When", cell: (row) => ago(row.finished_at) },
];
