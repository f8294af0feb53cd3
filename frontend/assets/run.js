// One run, live: the row, its metrics and its events are read by cursor; nothing new, nothing redrawn.

import { get, newKey, post } from "./api.js";
import { button, confirm, dialog, empty, errorCard, field, fill, h, link, progress, stateBadge, toast, toastError } from "./dom.js";
import { ago, count, duration } from "./format.js";
import { actions, param, title } from "./frame.js";
import { live, load } from "./live.js";
import { recipe } from "./recipe.js";
import { Charts } from "./run-charts.js";
import { Computing } from "./run-computing.js";
import { Log, Samples } from "./run-events.js";
import { ForgettingCard } from "./run-forgetting.js";
import { products } from "./run-products.js";
import { regressions } from "./run-regressions.js";
import { reporter } from "./run-reporter.js";
import { checkpointPage, kindTitle, moving, objectiveTitles, progressLine, toyBadge, worked } from "./run-state.js";
import { stylesheet } from "./stylesheet.js";

const SECONDS = 0.35; // with the worker's one transaction a second, a step is seen within two
const REST_MS = 1000; // row and events are asked with new metrics, else this often
const REPORTER_MS = 5000;
const MOST_POINTS = 3000;
const GOES_ON = ["continued", "resumed"]; // events of a run that was stopped before
const CALM = { seconds: SECONDS, slowest: 0.7 };

export async function mount(element) {
  await stylesheet("runs.css");
  const page = h("div.pl-page.pl-stack");
  element.append(page);
  const id = param("id");
  if (!id) {
    page.append(empty("Which run?", "The address names none.", h("a.pl-button.primary", { href: "/runs" }, "All runs")));
    return;
  }
  const ask = async () => ({ run: await get(`/runs/${encodeURIComponent(id)}`), titleOf: await objectiveTitles() });
  await load(page, ask, ({ run, titleOf }) => new RunPage(page, run, titleOf).start());
}

class RunPage {
  constructor(page, run, titleOf) {
    Object.assign(this, { page, run, titleOf });
    this.head = h("section.pl-card.pl-stack.tight", { "aria-label": "Status" });
    this.trouble = h("div.pl-when-filled");
    this.charts = new Charts(run);
    this.forgetting = new ForgettingCard(() => this.run);
    this.samples = new Samples();
    this.log = new Log();
    this.made = products(() => this.run);
    this.recipe = recipe();
    this.reporter = reporter(() => this.run);
    this.regressions = regressions(() => this.run);
    this.facts = h("section.pl-card");
    this.computing = new Computing();
    this.clock = h("span");
    this.cursor = null; // of metrics
    this.seen = null; // of events
    this.asked = -Infinity; // when row and events were
    this.messages = []; // the latest words of the log, for the failure card
    this.phase = undefined; // what the log says that it is at before its first step
  }

  start() {
    this.page.append(this.head, this.trouble, this.recipe.element, this.reporter.element, this.regressions.element, this.forgetting.element, this.charts.element,
      h("div.pl-run-columns", h("div.pl-stack", this.samples.element, this.log.element), h("div.pl-stack", this.made.element, this.facts, this.computing.element)));
    this.drawFacts();
    this.draw();
    this.made.refresh();
    this.recipe.refresh(this.run);
    this.tellReporter();
    this.watchRegressions();
    setInterval(() => moving(this.run) && this.tick(), 1000);
    this.polling = live((signal) => this.refresh(signal), { ...CALM, onerror: (error) => { if (this.cursor === null) fill(this.trouble, errorCard(error, () => this.polling.now())); } });
  }

  async refresh(signal) {
    const path = `/runs/${this.run.id}`;
    const metrics = await get(`${path}/metrics`, { after: this.cursor, points: 1000 }, { signal });
    const fresh = metrics.cursor !== this.cursor;
    this.takeMetrics(metrics); // drawn before anything else is asked
    if (!fresh && performance.now() - this.asked < REST_MS) return false;
    this.asked = performance.now();
    const [run, events] = await Promise.all([get(path, {}, { signal }), get(`${path}/events`, { after: this.seen, limit: 1000 }, { signal })]);
    const moved = fresh || events.items.length > 0;
    this.takeEvents(events);
    const changed = ["state", "done", "total", "eta_seconds", "position", "name"].some((name) => run[name] !== this.run[name]);
    const over = !moving(this.run); // known before this question was asked: its answer is the end of the story
    const ended = !over && !moving(run);
    this.run = run;
    if (changed || moved) this.draw();
    if (changed) this.drawFacts();
    this.tellReporter(ended);
    if (ended) {
      this.watchRegressions();
      this.made.refresh();
      this.recipe.refresh(run);
    }
    return over && !moved && this.run.state !== "lost" ? "done" : moved || changed;
  }

  // A check goes on after the run has ended, so it is asked for by itself.
  watchRegressions() {
    this.checking?.stop();
    this.checking = live(() => this.regressions.refresh(), { seconds: 1, slowest: 8 });
  }

  // Whether the program elsewhere is heard of: a few times a minute, and once more when the run has ended.
  tellReporter(ended = false) {
    if (this.run.place !== "elsewhere") return;
    if (!ended && performance.now() - (this.told ?? -Infinity) < REPORTER_MS) return;
    this.told = performance.now();
    this.reporter.refresh();
  }

  takeMetrics(metrics) {
    if (metrics.cursor === this.cursor && !metrics.whole) return;
    this.forgetting.take(metrics);
    if (metrics.whole) this.charts.replace(metrics);
    else this.charts.append(metrics);
    // Too many points: the next answer is the whole picture, from a coarser level of the ladder.
    this.cursor = !metrics.whole && this.charts.points > MOST_POINTS ? null : metrics.cursor;
    const step = Math.max(0, ...Object.values(metrics.series).map((one) => one.step.at(-1) ?? 0));
    if (step <= this.run.done) return;
    this.run.done = step; // the row, asked next, says so too
    this.draw();
  }

  takeEvents({ items, cursor }) {
    this.seen = cursor;
    for (const event of items) {
      if (GOES_ON.includes(event.kind)) this.phase = undefined;
      if (event.kind === "log") {
        this.hear(event.payload);
        this.computing.hear(event.payload);
      }
      this.forgetting.hear(event);
      if (event.kind === "sample") this.samples.add(event);
      if (event.kind === "checkpoint") this.made.add(event);
      if (event.payload.removed_checkpoint) this.made.remove(event);
      this.log.add(event);
    }
    if (items.length) {
      this.samples.draw();
      this.log.draw();
    }
    if (items.some((event) => event.kind === "checkpoint" || event.payload.removed_checkpoint)) this.made.refresh();
  }

  // A line of the log; what a program elsewhere says need not be text.
  hear({ message, phase }) {
    this.messages = [...this.messages, message].slice(-4);
    if (phase && typeof message === "string") this.phase = message;
  }

  draw() {
    const { run } = this;
    title(run.name);
    const stopping = run.state === "stopping" || run.stop_requested;
    actions(
      moving(run) ? button(stopping ? "Stopping…" : "Cancel run", () => this.cancel(), { disabled: stopping ? "It saves its last step and ends." : null }) : null,
      resumable(run) ? button(`Continue from step ${count(run.state_step)}`, () => this.resume(), { kind: "primary", title: "Goes on after the last step that was saved, as if it had not stopped" }) : null,
      button("Launch again", () => location.assign(`/new-run?from=${run.id}`), { kind: moving(run) || resumable(run) ? "" : "primary", title: "Opens the form with this run's settings" }),
    );
    fill(this.head,
      h("div.pl-row.between", h("div.pl-row", stateBadge(run.state), moving(run) ? [progressLine(run, this.phase), waitsFor(run)] : h("span.pl-muted", `${count(run.done)} of ${count(run.total)} steps`)),
        h("span.pl-muted", worked(run) === null ? ["Launched ", ago(run.created_at)] : [moving(run) ? "For " : "Took ", this.clock, " · launched ", ago(run.created_at)])),
      progress(run.state === "succeeded" ? 1 : run.done, run.state === "succeeded" ? 1 : run.total, "Progress of the run"));
    this.tick();
    this.charts.await(moving(run));
    this.log.await(moving(run));
    this.drawTrouble();
  }

  // How long it has been at work goes on while nothing is heard of it.
  tick() {
    const time = duration(worked(this.run));
    if (this.clock.textContent !== time) this.clock.textContent = time;
  }

  drawTrouble() {
    const { run } = this;
    if (run.state === "cancelled") return fill(this.trouble, h("div.pl-card", h("strong", "Cancelled"), h("p.pl-muted", run.reason)));
    if (run.state !== "failed" && run.state !== "lost") return fill(this.trouble);
    return fill(this.trouble, h("div.pl-error.pl-run-failure", { role: "alert" },
      h("strong", run.state === "lost" ? "Lost" : "Failed"), h("p", run.reason || "The reason was not recorded."),
      run.remedy && h("p", h("b", "What to do: "), run.remedy),
      this.messages.length > 0 && h("details", h("summary", "Its last words"), h("pre.pl-run-words", this.messages.join("\n"))),
      h("div.pl-row", h("a.pl-button", { href: `/new-run?from=${run.id}` }, "Change the settings and launch again"))));
  }

  drawFacts() {
    const { run } = this;
    const { spec } = run;
    const rows = [
      ["Kind", kindTitle(run.kind)],
      run.kind === "preference"
        ? ["Objective", h("a", { href: `/objectives?name=${encodeURIComponent(run.objective)}` }, this.titleOf(run.objective))]
        : ["Loss", this.titleOf(run.objective)],
      ["Started from", [link(run.checkpoint, checkpointPage(run.checkpoint_id)), run.checkpoint_toy ? [" ", toyBadge()] : null]],
      ...(run.kind === "preference" ? [["Reference", run.reference_id ? link("another checkpoint", checkpointPage(run.reference_id)) : "where it started from"]] : []),
      ...Object.entries(run.third_ids).map(([name, id]) => [`Its ${name.replaceAll("_", " ")}`, link("another checkpoint", checkpointPage(id))]),
      ...mixture(run.data),
      ["Tuning", spec.tuning.kind === "lora" ? `LoRA, rank ${spec.tuning.rank}` : "all weights"],
      ["Learning rate", `${spec.optimizer.learning_rate}, ${spec.optimizer.schedule}`],
      ["Batch", `${spec.batch.examples_per_step} examples a step`],
      ["Seed", String(spec.seed)],
      ["Trained on", [run.reporter?.host || run.host, trainedOn(run)].filter(Boolean).join(", ") || "no machine yet"],
    ];
    const copy = button("Copy", () => navigator.clipboard.writeText(run.yaml).then(() => toast("Copied."), () => toast("The browser did not allow it.")), { kind: "small" });
    fill(this.facts, h("h2", "What was launched"), h("dl.pl-facts", rows.map(([name, value]) => [h("dt", name), h("dd", value)])),
      h("details.pl-run-yaml", h("summary", "As YAML, for the command line"), h("div.pl-row.end", copy), h("pre.pl-run-words", run.yaml)));
  }

  async resume() {
    const body = this.run.failure === "out_of_memory" ? await smallerPacks(this.run) : {};
    if (!body) return;
    try {
      this.run = { ...this.run, ...(await post(`/runs/${this.run.id}/resume`, body, { key: newKey() })) };
      this.draw();
      this.polling.stop?.();
      this.polling = live((signal) => this.refresh(signal), CALM);
    } catch (error) {
      toastError(error);
    }
  }

  async cancel() {
    if (this.run.state !== "queued" && !(await confirm("Cancel this run?", `Its last step is saved as a checkpoint, and the run ends. ${keepsState(this.run) ? "It can be continued from there." : "It cannot be continued."}`, "Cancel run"))) return;
    try {
      this.run = { ...this.run, ...(await post(`/runs/${this.run.id}/cancel`, undefined, { key: newKey() })) };
      this.draw();
      this.polling.now();
    } catch (error) {
      toastError(error);
    }
  }
}

const waitsFor = (run) => (run.state === "queued" && run.state_host ? h("span.pl-muted", `It goes on where its last step lies: on ${run.state_host}.`) : null);

const keepsState = (run) => run.place === "worker" && run.spec.keep?.state !== "never";

// What ran out of memory goes on with smaller packs; the gradient is the same.
const smallerPacks = (run) => dialog(`Continue from step ${count(run.state_step)}`, (close) => {
  const used = Number(run.spec.batch.tokens_per_pack) || 512;
  const input = h("input", { type: "number", min: "16", step: "1", value: String(Math.max(16, Math.floor(used / 2))), required: true });
  const send = (event) => {
    event.preventDefault();
    close({ tokens_per_pack: Number(input.value) });
  };
  return h("form.pl-stack", { onsubmit: send },
    h("p", "It ran out of memory. With fewer tokens computed at once it needs less, and learns the same."),
    field("Tokens per pack", input),
    h("div.pl-row.end", button("Cancel", () => close()), button("Continue", null, { kind: "primary", type: "submit" })));
});

const resumable = (run) => run.place === "worker" && run.state_step !== null && ["failed", "cancelled", "lost"].includes(run.state);

// The snapshots that it trains on; of several, the share of the draws that comes from each.
// "gpu-1, 4 × NVIDIA H200"
function trainedOn(run) {
  const device = run.device || run.reporter?.device;
  return device && run.devices > 1 ? `${run.devices} × ${device}` : device;
}

function mixture(data) {
  const one = (part) => [link(part.dataset, `/dataset?id=${part.dataset_id}`), " ", h("code.pl-mono", { title: `Snapshot ${part.hash}` }, part.hash.slice(0, 12)),
    part.share === null ? null : ` ${Math.round(part.share * 1000) / 10} % of the draws`];
  return data.map((part, index) => [index ? "and" : "Data", one(part)]);
}
