// Runs: every run with its state and progress, what it trains on, its main number and the course of its loss.

import { get } from "./api.js";
import { badge, button, empty, errorCard, fill, h, link, skeleton, table, toastError } from "./dom.js";
import { runColor, sparkline } from "./charts.js";
import { ago, number, percent } from "./format.js";
import { actions, param, setParam } from "./frame.js";
import { bind } from "./keys.js";
import { live } from "./live.js";
import { markBadge } from "./run-regressions.js";
import { checkpointPage, MOVING, moving, objectiveTitles, runPage, stateCell, toyBadge } from "./run-state.js";
import { stylesheet } from "./stylesheet.js";

const PAGE = 50;
const FILTERS = [["", "All"], ["moving", "Under way"], ["succeeded", "Succeeded"], ["failed", "Failed"], ["cancelled", "Cancelled"]];
const STATES = { moving: MOVING, failed: ["failed", "lost"] };

const toNew = () => location.assign("/new-run");

export async function mount(element) {
  await stylesheet("runs.css");
  actions(button("New run", toNew, { kind: "primary", key: "N" }));
  bind("new-run", "n", "New run", toNew);
  new Runs(element).start();
}

class Runs {
  constructor(element) {
    this.filter = FILTERS.some(([value]) => value === param("state")) ? param("state") || "" : "";
    this.list = h("section.pl-stack", skeleton(6));
    this.buttons = FILTERS.map(([value, words]) => h("button", { type: "button", value, "aria-pressed": String(value === this.filter), onclick: () => this.choose(value) }, words));
    element.append(h("div.pl-page.pl-stack", h("div.pl-row", h("div.pl-segments.pl-run-filter", { role: "group", "aria-label": "Which runs" }, this.buttons)), this.list));
    this.older = [];
    this.cursor = null;
    this.drawn = "";
  }

  async start() {
    this.titleOf = await objectiveTitles().catch(() => (name) => name);
    this.polling = live((signal) => this.refresh(signal), {
      seconds: 1.5, slowest: 10, onerror: (error) => { if (!this.drawn) fill(this.list, errorCard(error, () => this.polling.now())); },
    });
  }

  choose(value) {
    this.filter = value;
    setParam("state", value);
    this.buttons.forEach((one) => one.setAttribute("aria-pressed", String(one.value === value)));
    [this.older, this.cursor, this.drawn] = [[], null, ""];
    fill(this.list, skeleton(4));
    this.polling.now();
  }

  ask(cursor, signal) {
    const query = new URLSearchParams({ limit: PAGE });
    for (const state of STATES[this.filter] || (this.filter ? [this.filter] : [])) query.append("state", state);
    if (cursor) query.append("cursor", cursor);
    return get(`/runs?${query}`, {}, { signal });
  }

  // The newest page again and again; nothing new, nothing redrawn.
  async refresh(signal) {
    const filter = this.filter;
    const page = await this.ask(null, signal);
    if (filter !== this.filter) return false;
    const state = JSON.stringify(page);
    if (state !== this.drawn) {
      this.drawn = state;
      this.newest = page.items;
      if (!this.older.length) this.cursor = page.next_cursor;
      this.draw();
    }
    return page.items.some(moving);
  }

  draw() {
    const known = new Set(this.newest.map((run) => run.id));
    const rows = [...this.newest, ...this.older.filter((run) => !known.has(run.id))];
    if (!rows.length) return fill(this.list, this.filter ? empty("No such run", "Choose another filter to see more.") : nothing());
    const more = this.cursor && h("div.pl-row.center", button("Show more", () => this.more()));
    return fill(this.list, table("Runs", this.columns(), rows, { onrow: (run) => location.assign(runPage(run.id)) }), more);
  }

  async more() {
    try {
      const page = await this.ask(this.cursor);
      this.older.push(...page.items);
      this.cursor = page.next_cursor;
      this.draw();
    } catch (error) {
      toastError(error);
    }
  }

  columns() {
    return [
      { title: "Name", cell: (run) => h("span.pl-run-name", h("i.pl-run-dot", { style: { background: runColor(run.id) }, "aria-hidden": "true" }), link(run.name, runPage(run.id))) },
      { title: "State", cell: (run) => [stateCell(run), run.regression?.mark ? markBadge(run.regression.mark, run.regression.summary) : null] },
      { title: "Objective", cell: (run) => badge(this.titleOf(run.objective)) },
      { title: "Data and checkpoint", cell: (run) => h("div.pl-run-from", link(run.dataset, `/dataset?id=${run.dataset_id}`), h("span", link(run.checkpoint, checkpointPage(run.checkpoint_id)), run.checkpoint_toy ? [" ", toyBadge()] : null)) },
      { title: "Accuracy", kind: "number", hint: "Share of pairs whose chosen response has the higher reward: held-out pairs where there are any", cell: (run) => measured(run, ["rewards/accuracies", "accuracy"], percent) },
      { title: "Loss", kind: "number", hint: "Of held-out examples where there are any", cell: (run) => measured(run, ["loss"], (value) => number(value, 3)) },
      { title: "", hint: "Course of the loss", cell: (run) => sparkline(run.sparkline, { color: runColor(run.id), label: `Loss of ${run.name}` }) },
      { title: "Launched", cell: (run) => ago(run.created_at) },
    ];
  }
}

// The first of these metrics that is known, and of what: held-out examples, or the last training batch alone.
function measured(run, names, written) {
  const [held, value] = names.map((name) => [run.metrics[`eval/${name}`], run.metrics[`eval/${name}`] ?? run.metrics[name]]).find(([, found]) => found !== undefined) || [];
  if (value === undefined) return "–";
  return h("span", { title: held === undefined ? "On the last training batch" : "On held-out examples" }, written(value), held === undefined ? h("span.pl-muted", " batch") : null);
}

const nothing = () =>
  empty("No run yet", "A run trains a checkpoint on labelled pairs. You need a checkpoint, some labelled pairs, and a minute.",
    button("New run", toNew, { kind: "primary" }), h("a.pl-button", { href: "/data" }, "Look at the data"));
