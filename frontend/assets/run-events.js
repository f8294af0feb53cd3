// What a run says: the log's tail, and answers to the same prompts as training goes on.

import { badge, fill, h } from "./dom.js";
import { count } from "./format.js";

const LINES = 500;

export class Log {
  constructor() {
    this.lines = [];
    this.box = h("div.pl-run-log", { role: "log", tabindex: 0, "aria-label": "Log" });
    this.element = h("section.pl-card.pl-stack.tight", h("h2", "Log"), this.box);
  }

  // What stands where nothing is written yet.
  await(moving) {
    if (!this.lines.length) fill(this.box, h("p.pl-muted", moving ? "Nothing yet: the log begins when a worker takes the run." : "Nothing was written."));
  }

  add(event) {
    const line = WORDS[event.kind] ? WORDS[event.kind](event) : null;
    if (line) this.lines.push({ ...line, time: new Date(event.created_at), step: event.step });
    if (this.lines.length > LINES) this.lines.splice(0, this.lines.length - LINES);
  }

  // Follows the end unless somebody has scrolled up to read.
  draw() {
    if (!this.lines.length) return;
    const following = this.box.scrollTop + this.box.clientHeight > this.box.scrollHeight - 24;
    fill(this.box, this.lines.map((line) =>
      h(`div.pl-run-line.${line.level}`, h("time", { datetime: line.time.toISOString(), title: line.time.toLocaleString() }, line.time.toLocaleTimeString()),
        h("span", line.level === "warning" || line.level === "error" ? h("b", `${line.level}: `) : null, line.text))));
    if (following) this.box.scrollTop = this.box.scrollHeight;
  }
}

const LEVELS = new Set(["info", "warning", "error"]);
const WORDS = {
  log: ({ payload }) => ({ level: LEVELS.has(payload.level) ? payload.level : "info", text: String(payload.message ?? "") }),
  checkpoint: ({ step, payload }) => (payload.unfit ? { level: "warning", text: `checkpoint of step ${step} left out: ${payload.unfit}` } : { level: "info", text: `saved a checkpoint at step ${step}` }),
  alarm: ({ payload }) => ({ level: "warning", text: String(payload.message ?? payload.seen ?? "alarm") }),
  error: ({ payload }) => ({ level: "error", text: [payload.title, payload.detail].filter(Boolean).join(": ") }),
  continued: ({ step }) => ({ level: "info", text: `asked to go on from step ${step}` }),
  resumed: ({ step }) => ({ level: "info", text: step ? `going on after step ${step}` : "beginning anew" }),
  done: ({ payload }) => ({ level: "info", text: payload.cancelled ? "ended early, as asked" : "done" }),
};

const FINISH = { length: "cut at the length limit" };

export class Samples {
  constructor() {
    this.steps = new Map(); // step -> events
    this.chosen = null; // null: always the newest
    this.slider = h("input", { type: "range", min: 0, max: 0, value: 0, "aria-label": "Step of the samples" });
    this.slider.addEventListener("input", () => {
      const steps = this.known();
      this.chosen = Number(this.slider.value) === steps.length - 1 ? null : steps[Number(this.slider.value)];
      this.draw();
    });
    this.at = h("span.pl-muted");
    this.list = h("div.pl-stack");
    this.control = h("div.pl-row.pl-run-steps", this.at, this.slider);
    this.element = h("section.pl-card.pl-stack.tight", { hidden: true }, h("div.pl-row.between", h("h2", "Answers to the same prompts"), this.control), this.list);
  }

  known() {
    return [...this.steps.keys()].sort((one, other) => one - other);
  }

  add(event) {
    if (!this.steps.has(event.step)) this.steps.set(event.step, []);
    this.steps.get(event.step).push(event.payload);
  }

  draw() {
    const steps = this.known();
    if (!steps.length) return;
    this.element.hidden = false;
    this.slider.max = steps.length - 1;
    const step = this.chosen ?? steps.at(-1);
    this.slider.value = steps.indexOf(step);
    this.slider.hidden = steps.length < 2;
    this.at.textContent = `Step ${count(step)}`;
    const state = `${step}:${this.steps.get(step).length}`;
    if (state === this.drawn) return;
    this.drawn = state;
    fill(this.list, this.steps.get(step).map(sample));
  }
}

const sample = ({ prompt, response, finish, tokens }) =>
  h("article.pl-run-sample", h("div.pl-prose.pl-plain.pl-run-prompt", asked(prompt)), h("div.pl-prose.pl-plain", response || h("span.pl-muted", "(an empty answer)")),
    h("div.pl-row", h("small.pl-muted", `${count(tokens)} tokens`), FINISH[finish] ? badge(FINISH[finish], "warn") : null));

const asked = (prompt) => (Array.isArray(prompt) ? prompt.map((turn) => turn.content).join("\n") : String(prompt ?? ""));
