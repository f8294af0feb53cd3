// Accuracy on labelled pairs: how often a judge prefers what people preferred; on the page of a dataset and of a checkpoint.

import { all, get, newKey, post } from "./api.js";
import { badge, button, dialog, errorCard, field, fill, h, link, progress, showError, stateBadge, table, toastError } from "./dom.js";
import { judgePart } from "./evaluate-judge.js";
import { goOn, limitFields, most, paid } from "./evaluation-cost.js";
import { ago, count, percent, plural } from "./format.js";
import { intervalLine } from "./interval.js";
import { live, load } from "./live.js";

const MOVING = ["queued", "starting", "running", "stopping"];
const ABOUT = "Any judge decides the labelled pairs in both side orders: how often does it prefer what people preferred?";

// The section of a dataset's page, with the form for a new one.
export function datasetAccuracy(dataset) {
  const place = h("section.pl-stack.tight", { "aria-label": "Accuracy on labelled pairs" });
  const draw = () => list(place, `/datasets/${dataset.id}/accuracies`, {
    action: button("Measure a judge", () => form(dataset, draw), { kind: "small", disabled: dataset.labelled ? null : "No labelled pair yet: label some first." }),
    none: ABOUT,
  });
  draw();
  return place;
}

// The section of a checkpoint's page; nothing while nothing was measured.
export function checkpointAccuracy(checkpoint) {
  const place = h("section.pl-stack.tight", { "aria-label": "Accuracy on labelled pairs" });
  list(place, `/checkpoints/${checkpoint.id}/accuracies`, { none: "No judge that asks this checkpoint was measured. A dataset of labelled pairs has “Measure a judge”." });
  return place;
}

async function list(place, path, { action = null, none }) {
  await load(place, () => get(path, { limit: 20 }), ({ items }) => {
    place.append(h("div.pl-row.between", h("h2", "Accuracy on labelled pairs"), action), ...(items.length ? items.map((row) => new Row(row).element) : [h("p.pl-muted", none)]));
  });
}

class Row {
  constructor(row) {
    this.row = row;
    this.element = h("article.pl-card.pl-stack.tight");
    this.draw();
    if (MOVING.includes(row.state)) this.watch();
  }

  async ask() {
    const before = JSON.stringify(this.row);
    this.row = await get(`/accuracies/${this.row.id}`);
    if (JSON.stringify(this.row) !== before) this.draw();
    return MOVING.includes(this.row.state) ? JSON.stringify(this.row) !== before : "done";
  }

  draw() {
    const { row } = this;
    const models = Object.values(row.judge_models);
    const title = [row.judge.name.replaceAll("_", " "), models.map((one) => [" · ", link(one.name, `/checkpoint?id=${one.id}`)])];
    fill(this.element,
      h("div.pl-row.between", h("div.pl-row.tight", h("strong", title), h("span.pl-muted", "on "), link(row.dataset, `/dataset?id=${row.dataset_id}`), h("span.pl-muted", row.pairs.split ? `${row.pairs.split} split` : "every split", " · ", ago(row.created_at))),
        h("div.pl-row.tight", row.state === "succeeded" ? null : stateBadge(row.state), MOVING.includes(row.state) && !row.stop_requested ? button("Cancel", () => this.cancel(), { kind: "small" }) : null,
          ["failed", "cancelled"].includes(row.state) ? button("Go on", () => this.goOn(), { kind: "small", title: "What is decided already is kept" }) : null)),
      MOVING.includes(row.state) ? [progress(row.done, row.total, "Verdicts"), h("p.pl-muted", row.total ? `${count(row.done)} of ${count(row.total)} verdicts` : "Waiting for a worker.")] : null,
      row.reason ? h("p", { role: row.state === "failed" ? "alert" : null, class: row.state === "failed" ? "pl-field-error" : null }, row.reason, " ", row.remedy || "") : null,
      row.spent || row.limits ? h("p.pl-muted.pl-note", [row.spent && `Spent: ${paid(row.spent)}.`, row.limits && `Limit: ${most(row.limits)}.`].filter(Boolean).join(" ")) : null,
      row.result ? found(row.result) : null);
  }

  watch() {
    live(() => this.ask(), { seconds: 1, slowest: 5 });
  }

  async again() {
    this.row = await get(`/accuracies/${this.row.id}`);
    this.draw();
    this.watch();
  }

  async goOn() {
    const path = `/accuracies/${this.row.id}`;
    if (this.row.limits) return void goOn(path, this.row.limits, () => this.again());
    try {
      await post(`${path}/resume`, {});
      await this.again();
    } catch (error) {
      toastError(error);
    }
  }

  async cancel() {
    try {
      this.row = await post(`/accuracies/${this.row.id}/cancel`, {});
      this.draw();
    } catch (error) {
      toastError(error);
    }
  }
}

function found(result) {
  const [whole] = result.parts;
  const facts = [
    ["Same verdict in both orders", share(result.consistency)],
    ["The response shown first won", share(result.shown_first)],
    ["Undecided", entries(result.reasons) || "none"],
    ["Pairs left out", entries(result.left_out) || "none"],
  ];
  return h("div.pl-stack.tight",
    result.statements.map((words) => h("div.pl-card.warn.pl-note", words)),
    table("Accuracy by subset", COLUMNS, result.parts),
    h("p.pl-muted", whole.accuracy.n ? `A pair in which the two orders contradict each other counts a half. Intervals of ${percent(whole.accuracy.level)} over prompts${whole.accuracy.method === "wilson" ? " (Wilson)" : ""}, seed ${whole.accuracy.seed}; the line marks a half, which is guessing.` : ""),
    h("details", h("summary.pl-muted", "More about the verdicts"), h("dl.pl-facts", facts.map(([name, value]) => [h("dt", name), h("dd", value)])), wrong(result.wrong)));
}

const share = (rate) => (rate.rate === null ? "–" : `${percent(rate.rate)} (${percent(rate.low)} to ${percent(rate.high)}, n = ${count(rate.n)})`);
const entries = (counts) => Object.entries(counts).map(([why, number]) => `${count(number)} ${why.replaceAll("_", " ")}`).join(" · ");
const wrong = (items) => (items.length ? h("p.pl-muted", "Decided against the label: ", items.slice(0, 20).map((id, place) => [place ? ", " : "", link(String(place + 1), `/item?id=${id}`)]), items.length > 20 ? ` and ${plural(items.length - 20, "more pair")}` : "") : null);

const COLUMNS = [
  { title: "Subset", cell: (row) => row.subset || h("strong", "all pairs") },
  { title: "Accuracy", cell: (row) => (row.accuracy.rate === null ? badge("none decided", "warn") : percent(row.accuracy.rate)), kind: "number" },
  { title: "Interval", cell: (row) => (row.accuracy.rate === null ? "–" : h("div.pl-row.tight", intervalLine({ value: row.accuracy.rate, low: row.accuracy.low, high: row.accuracy.high }, { mark: 0.5, label: `${percent(row.accuracy.low)} to ${percent(row.accuracy.high)}` }), h("span.pl-muted", `${percent(row.accuracy.low)} to ${percent(row.accuracy.high)}`))) },
  { title: "Pairs", cell: (row) => count(row.accuracy.n), kind: "number" },
  { title: "Ties", cell: (row) => count(row.accuracy.ties), kind: "number", hint: "Contradicting orders among them" },
  { title: "Undecided", cell: (row) => count(row.undecided), kind: "number" },
];

async function form(dataset, done) {
  const models = [];
  for await (const one of all("/checkpoints", { limit: 100 })) models.push(one);
  const judges = (await get("/judges")).items.filter((one) => one.decided_by !== "people");
  return dialog("Measure a judge", (close) => {
    let key = newKey();
    const part = judgePart({ judges, models, onchange: () => { key = newKey(); } });
    const split = h("select", [["", "Every split"], ["test", "Test"], ["validation", "Validation"], ["train", "Train"]].map(([value, words]) => h("option", { value }, words)));
    const limit = h("input", { type: "number", min: 1, max: 5000, value: 1000 });
    const splitField = field("Split", split);
    const limitField = field("At most", limit, { help: "Pairs, drawn by the seed." });
    const general = h("div");
    const limits = limitFields(null, () => { key = newKey(); });
    const spending = h("div.pl-form", { hidden: !models.some((one) => one.endpoint) }, Object.values(limits.fields));
    const go = button("Measure", async () => {
      part.clear();
      fill(general);
      for (const one of [limitField, ...Object.values(limits.fields)]) showError(one, "");
      try {
        await post(`/datasets/${dataset.id}/accuracies`, { judge: part.value(), split: split.value || null, limit: Number(limit.value), limits: limits.value() }, { key });
        close();
        done();
      } catch (error) {
        const words = [error.detail, error.remedy].filter(Boolean).join(" ");
        if (error.field?.startsWith("judge")) part.fail(error.field.slice(6), words);
        else if (error.field === "limit") showError(limitField, words);
        else if (limits.of(error)) showError(limits.of(error), words);
        else fill(general, errorCard(error));
      }
    }, { kind: "primary" });
    return h("div.pl-stack", h("p.pl-muted", ABOUT), general, part.element, h("div.pl-form", splitField, limitField), spending, h("div.pl-row.end", button("Cancel", () => close()), go));
  }, { wide: true });
}
