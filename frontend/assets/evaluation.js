// One evaluation: state and progress, the report as it fills, its matches, and what to do with them.

import { get, post } from "./api.js";
import { badge, button, empty, fill, h, link, progress, stateBadge, toastError } from "./dom.js";
import { costs, goOn } from "./evaluation-cost.js";
import { matchList } from "./evaluation-matches.js";
import { Meters } from "./evaluation-meters.js";
import { Report } from "./evaluation-report.js";
import { ago, count, duration, plural } from "./format.js";
import { actions, param, title } from "./frame.js";
import { judgeName } from "./judge-name.js";
import { live, load } from "./live.js";
import { stylesheet } from "./stylesheet.js";

const MOVING = ["queued", "starting", "running", "stopping"];
const REPORT_SECONDS = 4;

export async function mount(element) {
  const page = h("div.pl-page.pl-stack");
  element.append(page);
  await Promise.all([stylesheet("evaluate.css"), stylesheet("comparing.css")]);
  const id = param("id");
  if (!id) {
    page.append(empty("Which evaluation?", "The address names none.", h("a.pl-button.primary", { href: "/evaluate" }, "All evaluations")));
    return;
  }
  await load(page, () => get(`/evaluations/${encodeURIComponent(id)}`), (evaluation) => new EvaluationPage(page, evaluation).start());
}

class EvaluationPage {
  constructor(page, evaluation) {
    this.page = page;
    this.evaluation = evaluation;
    this.head = h("section.pl-card.pl-stack.tight");
    this.report = new Report(evaluation);
    this.meters = new Meters(evaluation);
    this.matches = matchList(evaluation);
  }

  start() {
    this.page.append(this.head, this.report.element, this.meters.element, this.matches.element);
    this.draw();
    this.report.refresh();
    this.meters.refresh();
    this.matches.refresh();
    if (!MOVING.includes(this.evaluation.state)) return;
    let read = performance.now();
    live(async (signal) => {
      const fresh = await get(`/evaluations/${this.evaluation.id}`, {}, { signal });
      const changed = fresh.done !== this.evaluation.done || fresh.state !== this.evaluation.state;
      const ended = !MOVING.includes(fresh.state);
      this.evaluation = fresh;
      if (changed) this.draw();
      if (ended || (changed && performance.now() - read > REPORT_SECONDS * 1000)) {
        read = performance.now();
        this.report.refresh();
        if (ended) {
          this.meters.refresh();
          this.matches.refresh();
        }
      }
      return ended ? "done" : changed;
    }, { seconds: 1, slowest: 4 });
  }

  draw() {
    const { evaluation } = this;
    title(evaluation.name);
    const moving = MOVING.includes(evaluation.state);
    const judge = `/compare?evaluation=${evaluation.id}`;
    const matches = evaluation.prompts.count !== 0; // none where public benchmarks are all of it
    actions(
      ["failed", "cancelled"].includes(evaluation.state) ? button("Go on", () => this.resume(), { title: "What is answered and judged already is kept" }) : null,
      moving ? button("Cancel", () => this.cancel(), { disabled: evaluation.state === "stopping" ? "It is stopping." : null }) : null,
      evaluation.judge.name === "people" || !evaluation.done || !matches ? null : h("a.pl-button", { href: `${judge}&order=telling`, title: "Matches whose verdict by people narrows the corrected win rate the most come first" }, "Judge these next"),
      matches ? link("Judge these matches", judge, "pl-button primary") : null,
    );
    fill(this.head, this.state(moving), this.trouble(), this.facts(), this.further());
  }

  state(moving) {
    const { evaluation } = this;
    const left = moving && evaluation.done ? remaining(evaluation) : null;
    return [
      h("div.pl-row", stateBadge(evaluation.state), h("span.pl-muted", moving ? `${count(evaluation.done)} of ${count(evaluation.total)} ${evaluation.harness ? "answers, verdicts and benchmarks" : "answers and verdicts"}` : ["started ", ago(evaluation.created_at)]),
        left && h("span.pl-muted", `about ${duration(left)} left`), evaluation.attempts > 1 ? badge(`worker ${evaluation.attempts}`, "warn") : null),
      moving ? progress(evaluation.done, evaluation.total, "Answers and verdicts") : null,
    ];
  }

  trouble() {
    const { state, reason, remedy } = this.evaluation;
    if (!reason) return null;
    const kind = state === "failed" || state === "lost" ? "div.pl-error" : "div.pl-card";
    return h(kind, { role: "alert" }, h("strong", reason), remedy && h("p.pl-muted", remedy));
  }

  facts() {
    const { contestants, prompts, judge, sampling, seed, harness } = this.evaluation;
    const models = this.evaluation.judge_models;
    const settings = Object.entries(judge).filter(([name, value]) => name !== "name" && name !== "members" && !(name in models) && value !== null && value !== 0 && String(value) !== "");
    const asked = Object.entries(models).map(([path, one]) => [" · ", path.startsWith("members.") ? "" : `${path} `, link(one.name, `/checkpoint?id=${one.id}`)]);
    const rows = [
      ["Contestants", contestants.map((one, index) => [index ? ", " : "", link(one.name, `/checkpoint?id=${one.id}`), index ? "" : " (baseline)", one.toy ? [" ", badge("toy", "warn")] : null])],
      ["Prompts", source(prompts)],
      ["Judge", this.evaluation.judge_model ? model(this.evaluation) : [judgeName(judge.name, this.evaluation), asked, settings.length ? h("span.pl-muted", ` · ${settings.map(([name, value]) => `${name.replaceAll("_", " ")} ${value}`).join(" · ")}`) : null]],
      ["Answers", prompts.imported ? `imported, ${prompts.imported}` : `temperature ${sampling.temperature} · top p ${sampling.top_p} · at most ${count(sampling.max_new_tokens)} tokens · seed ${seed}`],
    ];
    if (prompts.count === 0) rows.splice(1); // nothing is answered, nothing judged
    if (harness) rows.push(["Benchmarks", h("span.pl-wrap", `${harness.tasks.join(", ")} · ${harness.limit === null ? "all documents" : `${count(harness.limit)} documents of each`}${harness.num_fewshot === null ? "" : ` · ${plural(harness.num_fewshot, "example")} before each`}`)]);
    rows.push(...costs(this.evaluation));
    return h("dl.pl-facts", rows.map(([name, value]) => [h("dt", name), h("dd", value)]));
  }

  // Pages that look at the same evaluation otherwise.
  further() {
    const { id, contestants } = this.evaluation;
    return h("nav.pl-row", { "aria-label": "More about this evaluation" },
      contestants.length > 2 ? link("Ranking", `/ranking?id=${id}`, "pl-button small") : null,
      link("Trade-offs", `/trade-offs?id=${id}`, "pl-button small"),
      h("a.pl-button.small", { href: `/api/v1/evaluations/${id}/report.html`, download: "" }, "Download the report"));
  }

  async cancel() {
    try {
      this.evaluation = await post(`/evaluations/${this.evaluation.id}/cancel`, {});
      this.draw();
    } catch (error) {
      toastError(error);
    }
  }

  async resume() {
    if (this.evaluation.limits) return void goOn(`/evaluations/${this.evaluation.id}`, this.evaluation.limits, () => location.reload());
    try {
      await post(`/evaluations/${this.evaluation.id}/resume`, {});
      location.reload();
    } catch (error) {
      toastError(error);
    }
  }
}

// A model as the judge: which one, how it answers, and what it is asked.
const model = ({ judge, judge_model: one }) => [
  link(one.name, `/checkpoint?id=${one.id}`),
  h("span.pl-muted", ` · ${judge.explain ? "explains first" : "says its verdict alone"} · at most ${count(judge.max_tokens)} tokens`),
  h("details", h("summary.pl-muted", "What it is asked"), h("p.pl-muted.pl-eval-words", judge.template)),
];

const source = ({ dataset, dataset_id: id, split, count: number, texts, checks, imported, outputs, outputs_of: contestant }) =>
  !number ? "none: public benchmarks alone" :
  checks ? [`${count(number)} of the `, link("prompt checks", "/prompt-checks"), checks.length ? `: ${checks.join(", ")}` : ""] :
  outputs ? [`${count(number)} that `, link(outputs, `/checkpoint?id=${contestant}`), " has answered"] :
  imported ? `${count(number)}, imported` :
  texts ? `${count(number)}, typed` : [`${count(number)} from `, link(dataset, `/dataset?id=${id}`), split ? `, ${split} split` : ", every split"];

// Seconds that the rest takes if it goes on as it went.
function remaining({ started_at: started, done, total }) {
  const seconds = (Date.now() - new Date(started).getTime()) / 1000;
  return seconds > 2 ? (seconds / done) * (total - done) : null;
}
