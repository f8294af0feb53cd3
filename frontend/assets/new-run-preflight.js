// What the run would take and what is wrong with it, asked of the API after every change; and the button that launches.

import { newKey, post } from "./api.js";
import { button, fill, h, toast, toastError } from "./dom.js";
import { colorAt } from "./charts.js";
import { bytes, count, plural, roughly } from "./format.js";

const PAUSE = 300; // milliseconds without a change before it is asked
const PLACES = { dataset_id: "data", checkpoint_id: "checkpoint", reference_id: "reference", third_ids: "other models", mixture: "data", policy: "labels" };
const LEARNED = ["dataset_id", "snapshot_id", "mixture", "policy", "pairs", "objective", "third_ids"]; // they decide how many examples there are
const PARTS = ["weights", "gradients", "optimizer", "activations", "reference", "program"]; // of the memory, each with its color

export class Preflight {
  constructor({ body, show, clear }) {
    Object.assign(this, { body, show, clear });
    this.key = newKey();
    this.turn = 0;
    this.told = null;
    this.element = h("aside.pl-card.pl-stack.pl-new-check", { "aria-label": "What the run takes", "aria-live": "polite" });
    this.draw("Checking…");
  }

  changed() {
    this.key = newKey(); // another run is meant now
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.ask(), PAUSE);
  }

  async ask() {
    const turn = (this.turn += 1);
    try {
      const body = this.body();
      const told = await post("/runs/preflight", body);
      if (turn !== this.turn) return;
      this.told = told;
      this.learned = learned(body);
      this.clear();
      for (const one of told.errors) if (one.field) this.show(one.field, one.detail);
      this.draw();
    } catch (error) {
      if (turn !== this.turn) return;
      this.told = null;
      this.draw(error.message);
    }
  }

  // How many examples the run would train on; undefined as long as no answer tells of what it learns from now.
  get examples() {
    return this.learned === learned(this.body()) ? this.told?.estimate?.examples : undefined;
  }

  draw(why = "") {
    const { told } = this;
    const wrong = told ? told.errors.length : 0;
    const reason = !told ? why : wrong ? (wrong === 1 ? "One problem is to be solved first." : `${wrong} problems are to be solved first.`) : null;
    const launch = button("Launch run", null, { kind: "primary", type: "submit", disabled: reason });
    if (!told) return void fill(this.element, h("h2", "Before the launch"), h("p.pl-muted", why), launch);
    return void fill(this.element, h("div.pl-row.between", h("h2", wrong ? plural(wrong, "problem") : "Ready to launch"), launch),
      findings(told), told.estimate && facts(told.estimate), told.estimate && memory(told.estimate), told.yaml && this.yaml(told.yaml));
  }

  yaml(text) {
    const copy = button("Copy", () => navigator.clipboard.writeText(text).then(() => toast("Copied."), () => toast("The browser did not allow it.")), { kind: "small" });
    const box = h("details", h("summary", "The same run as YAML"), h("div.pl-row.end", copy), h("pre.pl-run-words", text));
    box.open = this.opened || false;
    box.addEventListener("toggle", () => { this.opened = box.open; });
    return box;
  }

  async launch() {
    if (!this.told || this.told.errors.length || this.launching) return;
    this.launching = true;
    const start = this.element.querySelector(".pl-button.primary");
    start.classList.add("busy");
    try {
      const run = await post("/runs", this.body(), { key: this.key });
      location.assign(`/run?id=${run.id}`);
    } catch (error) {
      this.launching = false;
      start.classList.remove("busy");
      if (!(error.field && this.show(error.field, error.detail))) toastError(error);
      else toast(error.detail, { kind: "bad", seconds: 6 });
    }
  }
}

const learned = (body) => JSON.stringify(LEARNED.map((name) => body[name]));

function findings({ errors, warnings }) {
  if (!errors.length && !warnings.length) return null;
  const line = (kind) => (one) => h(`li.${kind}`, one.field && h("b", { title: one.field }, place(one.field), ": "), one.detail, one.remedy && [" ", h("span.pl-muted", one.remedy)]);
  return h("ul.pl-findings", { "aria-label": "Problems and warnings" }, errors.map(line("error")), warnings.map(line("warning")));
}

// Where in the form a finding is, in the form's words: "objective.base.beta" -> "Objective, base, beta".
function place(path) {
  const parts = path.split(".").filter((part) => !/^\d+$/.test(part));
  const words = parts.map((part) => PLACES[part] || part.replaceAll("_", " ")).join(", ");
  return words.charAt(0).toUpperCase() + words.slice(1);
}

function facts(estimate) {
  const rows = [
    ["Training examples", `about ${count(estimate.examples)}`],
    ["Steps", count(estimate.steps)],
    ["Tokens", tokens(estimate)],
    ["Time", time(estimate)],
    ["Trained", estimate.trainable === estimate.parameters ? `all ${count(estimate.parameters)} weights` : `${count(estimate.trainable)} of ${count(estimate.parameters + estimate.trainable)} weights`],
    ["Disk", `${bytes(estimate.disk_bytes)} for checkpoints, ${bytes(estimate.free_disk_bytes)} free`],
  ];
  return h("dl.pl-facts", rows.map(([name, value]) => [h("dt", name), h("dd", value)]));
}

function tokens({ tokens: all, tokens_computed: computed }) {
  if (all === null) return "not known before the run has read its data";
  const about = (value) => count(Number(value.toPrecision(2)));
  const shared = computed < all ? `, ${about(computed)} of them computed: prompts are shared` : "";
  return `about ${about(all)} of text${shared}`;
}

function time({ seconds, seconds_by: by }) {
  if (!seconds) return "not known before a run of this size was measured here";
  return `${roughly(seconds[0])} to ${roughly(seconds[1])}, ${by === "runs" ? "by earlier runs" : "by how fast the worker's machine computes"}`;
}

function memory(estimate) {
  const whole = Math.max(estimate.available_bytes || 0, estimate.memory_bytes);
  const error = `give or take ${Math.round(100 * estimate.memory_error)} %`;
  const words = estimate.available_bytes ? `about ${bytes(estimate.memory_bytes)} (${error}) of ${bytes(estimate.available_bytes)} free` : `about ${bytes(estimate.memory_bytes)} (${error}) on the GPU`;
  const color = ({ name }) => ({ background: colorAt(PARTS.indexOf(name)) });
  return h("div", h("h3", `Memory: ${words}`),
    h("div.pl-memory", { role: "img", "aria-label": `Memory: ${words}` }, estimate.memory.map((part) => h("i", { style: { ...color(part), width: `${(100 * part.bytes) / whole}%` }, title: `${part.name}: ${bytes(part.bytes)}` }))),
    estimate.gradient_checkpointing && h("p.pl-muted", "With gradient checkpointing: layers are computed again in the backward pass, which takes about a third more time."),
    h("ul.pl-memory-key", estimate.memory.map((part) => h("li", h("i", { style: color(part) }), `${part.name} ${bytes(part.bytes)}`))));
}
