// Suggestions of a task: who makes them, how far that is, whether cards show them, and whether they decide the order.

import { all, ApiError, del, get, newKey, patch, post } from "./api.js";
import { button, confirm, errorCard, field, fill, h, link, progress, showError, skeleton, stateBadge, toast, toastError } from "./dom.js";
import { expected, goOn, limitFields, most, paid } from "./evaluation-cost.js";
import { ago, count, plural } from "./format.js";
import { live } from "./live.js";
import { list, ORDERS } from "./task-words.js";

const MOVING = ["queued", "starting", "running", "stopping"];
// judge of the catalogue: [what it is called, how it decides, the questions that it can answer]
const WHO = {
  implicit_reward: ["A trained checkpoint", "By how much likelier than its reference it makes a response: what preference training has taught it.", ["pair", "ranking", "thumb"]],
  reward_model: ["A reward model", "By its score of each response.", ["pair", "ranking", "thumb"]],
  llm: ["A judge behind an endpoint", "A language model compares responses, asked in both orders; where its answers differ it suggests a tie.", ["pair", "ranking"]],
};

export class Suggestions {
  constructor(task) {
    this.task = task;
    this.made = h("div.pl-stack.tight", skeleton(1));
    this.job = h("div.pl-stack.tight", skeleton(2));
    this.state = ""; // of the newest job
    this.element = h("section.pl-card.pl-stack", { "aria-label": "Suggestions" }, h("h2", "Suggestions"),
      h("p.pl-muted", "A model can suggest an answer on every card. Nobody sees any unless you turn it on: they sway people, and labels made beside one say so for ever."),
      this.job, this.made, this.switches());
    this.polling = live((signal) => this.refresh(signal), { seconds: 1, slowest: 15, onerror: (error) => fill(this.job, errorCard(error)) });
  }

  // ---- what is shown, in which order: saved at once ----

  switches() {
    const show = h("input", { type: "checkbox", checked: Boolean(this.task.assistance?.suggest) });
    const order = h("select", Object.entries(ORDERS).map(([value, [title]]) => h("option", { value, selected: value === this.task.order }, title)));
    const orderField = field("Order of the items", order, { help: "“Uncertain first” begins with what a suggestion is least sure of; items without one come last." });
    show.addEventListener("change", async () => {
      const changed = { ...(this.task.assistance || {}), suggest: show.checked };
      if (!(await this.change({ assistance: changed }, show.checked ? "Cards show suggestions" : "Cards show no suggestions"))) show.checked = !show.checked;
    });
    order.addEventListener("change", async () => {
      showError(orderField, "");
      if (!(await this.change({ order: order.value }, "Order changed", orderField))) order.value = this.task.order;
    });
    return h("div.pl-stack.tight", h("label.pl-check", show, h("span", "Show suggestions on the cards")), h("div.pl-form", orderField));
  }

  async change(body, words, place = null) {
    try {
      this.task = await patch(`/tasks/${this.task.id}`, body);
    } catch (error) {
      if (place && error instanceof ApiError && error.field) showError(place, [error.detail, error.remedy].filter(Boolean).join(" "));
      else toastError(error);
      return false;
    }
    toast(words);
    return true;
  }

  // ---- what there is, and what makes more ----

  async refresh(signal) {
    const { items: [job] } = await get(`/tasks/${this.task.id}/suggestion-jobs`, { limit: 1 }, { signal });
    const moves = Boolean(job) && MOVING.includes(job.state);
    const state = job ? `${job.id} ${job.state}` : "none";
    if (state !== this.state) fill(this.made, this.there(await get(`/tasks/${this.task.id}/suggesters`, {}, { signal }), moves));
    if (moves) fill(this.job, this.moving(job));
    else if (state !== this.state) fill(this.job, job ? this.ended(job) : null, this.closed() || this.beginning());
    this.state = state;
    return moves;
  }

  async act(ask) {
    try {
      await ask();
    } catch (error) {
      toastError(error);
    }
    this.state = "";
    this.polling.now();
  }

  there(suggesters, moves) {
    if (!suggesters.length) return moves ? null : h("p.pl-muted", "Nothing is suggested yet.");
    const whose = suggesters.map((one) => `${count(one.items)} by ${one.by}`);
    return h("div.pl-row", h("span", `Suggested: ${list(whose)}.`), moves ? null : button("Remove suggestions", () => this.remove(), { kind: "small" }));
  }

  async remove() {
    if (!(await confirm("Remove the suggestions of this task?", "Cards show none any more, and “uncertain first” has nothing to go by. Labels that were made beside one say so still.", "Remove"))) return;
    await this.act(() => del(`/tasks/${this.task.id}/suggestions`));
  }

  moving(job) {
    const words = job.state === "queued" ? "Waits for a worker; one job at a time loads models." : `${count(job.done)} of ${plural(job.total, "item")} read`;
    const spent = job.spent && h("p.pl-muted.pl-note", `Spent: ${paid(job.spent)}${job.limits ? `, of at most ${most(job.limits)}` : ""}.`);
    return [h("div.pl-row", stateBadge(job.state), h("span", job.words), h("span.pl-muted", words), button("Cancel", () => this.act(() => post(`/suggestion-jobs/${job.id}/cancel`)), { kind: "small", disabled: job.state === "stopping" ? "It is stopping." : null })),
      progress(job.done, job.total, "Suggesting"), spent,
      this.task.question.kind === "thumb" ? h("p.pl-muted.pl-note", "Thumbs are suggested once the last response is read: up from the middle one on.") : null];
  }

  ended(job) {
    const left = Object.entries(job.left_out);
    const again = ["failed", "cancelled"].includes(job.state) && !this.closed();
    return h("div.pl-stack.tight",
      h("div.pl-row", stateBadge(job.state), h("span", job.words), h("span.pl-muted", `${plural(job.suggested, "suggestion")} · `, ago(job.finished_at)), again ? button("Go on", () => this.goOn(job), { kind: "small" }) : null),
      job.reason ? h("p", job.reason, job.remedy ? h("span.pl-muted", ` ${job.remedy}`) : null) : null,
      job.spent || job.limits ? h("p.pl-muted.pl-note", [job.spent && `Spent: ${paid(job.spent)}.`, job.limits && `Limit: ${most(job.limits)}.`].filter(Boolean).join(" ")) : null,
      job.taken ? h("p.pl-muted.pl-note", `${plural(job.taken, "verdict")} ${job.taken === 1 ? "was" : "were"} there already and not paid for again.`) : null,
      left.length ? h("details", h("summary", `${plural(left.reduce((sum, [, many]) => sum + many, 0), "item")} without a suggestion`), h("ul", left.map(([why, many]) => h("li", `${count(many)}: ${why}`)))) : null);
  }

  async goOn(job) {
    if (!job.limits) return void (await this.act(() => post(`/suggestion-jobs/${job.id}/resume`)));
    goOn(`/suggestion-jobs/${job.id}`, job.limits, () => this.act(async () => {}));
  }

  closed() {
    const over = this.task.closed_at || (this.task.deadline && new Date(this.task.deadline) < new Date());
    return over ? h("p.pl-muted", "This task takes no more labels, so nothing more is suggested. Reopen it, or give it more time.") : null;
  }

  beginning() {
    const place = h("div");
    const open = button("Choose who suggests", async () => {
      fill(place, skeleton(2));
      try {
        const found = [];
        for await (const one of all("/checkpoints")) found.push(one);
        fill(place, new Chooser(this.task, found, (body, key) => post(`/tasks/${this.task.id}/suggestion-jobs`, body, { key }), () => this.act(async () => {})).element);
      } catch (error) {
        fill(place, errorCard(error));
      }
    }, { kind: "small" });
    fill(place, open);
    return place;
  }

  stop() {
    this.polling.stop();
  }
}

// Who suggests: one of three, with the checkpoints that it takes.
class Chooser {
  constructor(task, checkpoints, start, started) {
    Object.assign(this, { task, start, started });
    const here = checkpoints.filter((one) => !one.endpoint && one.available !== false);
    this.offers = {
      implicit_reward: here.filter((one) => one.kind === "language_model" && one.chat_template !== "missing"),
      reward_model: here.filter((one) => one.kind === "reward_model"),
      llm: checkpoints.filter((one) => one.endpoint),
    };
    const able = Object.keys(WHO).filter((name) => WHO[name][2].includes(task.question.kind));
    this.name = able.find((name) => this.offers[name].length) || able[0];
    this.place = h("div.pl-form");
    this.cost = h("div", { "aria-live": "polite" });
    this.limits = limitFields(null, () => { this.key = newKey(); });
    this.spending = h("div.pl-form", Object.values(this.limits.fields));
    this.wrong = h("div");
    this.key = newKey();
    const group = `pl-suggester-${task.id}`;
    const boxes = able.map((name) => {
      const box = h("input", { type: "radio", name: group, value: name, checked: name === this.name, onchange: () => { this.name = name; this.fields(); } });
      return h("label.pl-option", box, h("span", h("b", WHO[name][0]), h("small.pl-muted", WHO[name][1])));
    });
    this.go = button("Start suggesting", null, { kind: "primary", type: "submit" });
    this.element = h("form.pl-stack", { novalidate: true, onsubmit: (event) => { event.preventDefault(); this.send(); } },
      h("fieldset.pl-options", h("legend.pl-label", "Who suggests"), boxes), this.place, this.cost, this.spending, this.wrong, h("div.pl-row", this.go, h("span.pl-muted", "Items that still want labels are read; suggestions of before are replaced.")));
    this.fields();
  }

  fields() {
    this.key = newKey();
    fill(this.wrong);
    this.parts = {};
    const offered = this.offers[this.name];
    this.go.disabled = !offered.length;
    if (!offered.length) return void (this.size(), fill(this.place, h("p.pl-muted", ...NONE[this.name]())));
    const choose = (path, label, options, more = {}) => (this.parts[path] = field(label, h("select", { onchange: () => { this.key = newKey(); } }, options), more));
    const options = offered.map((one) => h("option", { value: one.id }, one.name));
    if (this.name === "implicit_reward") {
      const trained = offered.filter((one) => one.run_id);
      const first = trained.length ? trained : offered;
      choose("checkpoint", "Checkpoint", [...first, ...offered.filter((one) => !first.includes(one))].map((one) => h("option", { value: one.id }, one.name)));
      choose("reference", "Reference", [h("option", { value: "" }, "What its run measured it against"), ...offered.map((one) => h("option", { value: one.id }, one.name))], { help: "What it was trained from. A checkpoint that no run here made needs one." });
      const beta = h("input", { type: "text", inputmode: "decimal", placeholder: "as its run", autocomplete: "off", oninput: () => { this.key = newKey(); } });
      this.parts.beta = field("Beta", beta, { help: "Multiplies the log-ratio: how sure suggestions sound, not which side they take." });
    } else if (this.name === "reward_model") choose("members.0", "Reward model", options);
    else {
      choose("checkpoint", "Model that judges", options, { help: this.task.question.kind === "pair" ? "It is asked twice about each pair that wants labels." : "Each two responses of an item are compared twice; items of more than 8 responses are left out." });
      const box = h("input", { type: "checkbox", checked: true });
      this.parts.explain = h("div.pl-field", h("label.pl-check", box, h("span", "Let it explain first")), h("small.pl-help", "Slower, dearer and better."), h("small.pl-field-error"));
      for (const one of [this.parts.checkpoint, this.parts.explain]) one.addEventListener("change", () => { this.key = newKey(); this.size(); });
    }
    fill(this.place, Object.values(this.parts));
    this.size();
  }

  // What it would cost, where an endpoint is asked; the answer to an earlier choice is not shown.
  async size() {
    this.spending.hidden = this.name !== "llm" || !this.offers.llm.length;
    const mine = (this.turn = (this.turn || 0) + 1);
    fill(this.cost, this.spending.hidden ? null : skeleton(1));
    if (this.spending.hidden) return;
    let shown;
    try {
      const size = await post(`/tasks/${this.task.id}/suggestion-jobs/preflight`, { judge: this.judge() });
      const known = size.taken ? [["Known already", `${plural(size.taken, "verdict")}, not paid for again`]] : [];
      const rows = [["Items", count(size.items)], ...known, ...expected(size.cost)];
      shown = h("dl.pl-facts", rows.map(([name, words]) => [h("dt", name), h("dd", words)]));
    } catch (error) {
      shown = errorCard(error);
    }
    if (mine === this.turn) fill(this.cost, shown);
  }

  value(path) {
    return this.parts[path].querySelector("input, select").value.trim();
  }

  judge() {
    if (this.name === "reward_model") return { name: this.name, members: [this.value("members.0")] };
    if (this.name === "llm") return { name: this.name, checkpoint: this.value("checkpoint"), explain: this.parts.explain.querySelector("input").checked };
    const beta = this.value("beta");
    return { name: this.name, checkpoint: this.value("checkpoint"), reference: this.value("reference") || null, beta: beta === "" ? null : Number.isNaN(Number(beta)) ? beta : Number(beta) };
  }

  async send() {
    fill(this.wrong);
    [...Object.values(this.parts), ...Object.values(this.limits.fields)].forEach((one) => showError(one, ""));
    this.go.disabled = true;
    try {
      await this.start({ judge: this.judge(), limits: this.name === "llm" ? this.limits.value() : null }, this.key);
      this.started();
    } catch (error) {
      this.go.disabled = false;
      const part = error instanceof ApiError && error.field ? this.limits.of(error) || this.parts[error.field.replace(/^judge\./, "")] || this.parts[error.field.replace(/^judge\.members$/, "members.0")] : null;
      if (part) showError(part, [error.detail, error.remedy].filter(Boolean).join(" "));
      else fill(this.wrong, errorCard(error));
    }
  }
}

const NONE = {
  implicit_reward: () => ["No checkpoint with weights is here. ", link("Train one", "/new-run"), " or ", link("register a folder", "/checkpoints?register"), "."],
  reward_model: () => ["No reward model is here. ", link("Train one", "/new-run"), " on your pairs, or ", link("register a folder", "/checkpoints?register"), "."],
  llm: () => ["No endpoint is registered. ", link("Register a model that judges", "/checkpoints?register"), "."],
};
