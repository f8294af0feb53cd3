// An evaluation's matches, blind, one by one: the next card is there at once, the verdict is sent behind it.

import { connection, newKey, post } from "./api.js";
import { add, button, dialog, empty, errorCard, fill, h, progress, skeleton, toast, toastError } from "./dom.js";
import { count, plural } from "./format.js";
import { actions, mayResearch, param, title } from "./frame.js";
import { describe } from "./label-words.js";
import { SidesView } from "./sides.js";
import { voteScale } from "./vote-scale.js";

const AT_HAND = 4;
const LONGEST_SECONDS = 3600;

export class MatchJudge {
  constructor(page, evaluation) {
    this.page = page;
    this.path = `/evaluations/${encodeURIComponent(evaluation)}`;
    this.evaluation = evaluation;
    this.cards = [];
    this.waiting = []; // verdicts on their way, oldest first
    this.past = []; // verdicts sent, for undo
    this.counts = null;
    this.view = new SidesView();
    this.bar = h("div.pl-judge-progress");
    this.last = h("span.pl-judge-last", { hidden: true });
    this.stage = h("div.pl-judge-stage", skeleton(6));
    this.status = h("div.pl-hidden", { role: "status", "aria-live": "polite" });
    this.scale = voteScale((value) => this.vote(value), [
      { action: "skip", key: "s", text: "Skip this match", name: "Skip…", run: () => this.skip() },
      { action: "undo", key: "u", text: "Undo the last verdict", name: "Undo", run: () => this.undo() },
      { action: "marks", key: "d", text: "Mark the words that differ", name: "Differences", run: () => this.marks() },
    ]);
    this.telling = param("order") === "telling";
    this.shown = null;
    this.since = 0;
  }

  async start() {
    add(this.page, this.bar, this.stage, this.scale.element, this.status);
    addEventListener("resize", () => this.fit());
    addEventListener("beforeunload", (event) => this.waiting.length && event.preventDefault());
    connection.addEventListener("back", () => this.send());
    if (mayResearch) {
      actions(button("Results", () => location.assign(`/evaluation?id=${encodeURIComponent(this.evaluation)}`), { kind: "quiet" }));
    }
    await this.fill();
  }

  // Cards to have at hand; the first answer names the evaluation.
  async fill() {
    const holding = [...this.cards, ...this.waiting.map((one) => one.card)].map((card) => card.match_id);
    try {
      const found = await post(`${this.path}/cards`, { n: AT_HAND, holding, order: this.telling ? "telling" : "lot" });
      title(this.telling ? `Judge these next: “${found.name}”` : `Judge “${found.name}”`);
      if (!this.waiting.length) this.counts = found.progress;
      const known = new Set([...holding, ...this.past.map((one) => one.card.match_id)]);
      this.cards.push(...found.cards.filter((card) => !known.has(card.match_id)));
      this.draw();
    } catch (error) {
      if (this.cards.length || error.status === 0) return toastError(error);
      fill(this.stage, errorCard(error, () => this.fill()));
    }
  }

  draw() {
    this.drawBar();
    const [card] = this.cards;
    this.scale.show(Boolean(card));
    if (!card) {
      this.shown = null;
      fill(this.stage, this.nothing());
      return;
    }
    if (this.shown === card) return;
    if (this.view.element.parentNode !== this.stage) fill(this.stage, this.view.element);
    this.fit();
    this.view.show({ prompt: card.prompt, responses: [card.left, card.right] });
    this.shown = card;
    this.since = performance.now();
  }

  drawBar() {
    if (!this.counts) return;
    const { total, by_you: byYou, by_anyone: byAnyone } = this.counts;
    const words = [
      h("span", h("strong", count(byYou)), ` of ${count(total)} judged by you`),
      h("span.pl-muted", `${count(byAnyone)} by anyone`),
    ];
    const [card] = this.cards;
    const why = this.telling && card ? h("p.pl-judge-why", card.guided ? "Your verdict on this match narrows the doubt about the judge the most." : "No match tells more than another now: this one came by lot.") : null;
    fill(this.bar, progress(byYou, total, "Matches judged by you"), h("div.pl-judge-numbers", words, this.last), why);
  }

  nothing() {
    const results = mayResearch && h("a.pl-button.primary", { href: `/evaluation?id=${encodeURIComponent(this.evaluation)}` }, "See the results");
    const undo = this.past.length ? button("Undo the last verdict", () => this.undo(), { kind: "quiet" }) : null;
    if (this.counts && !this.counts.total) {
      return empty("No answers yet", "The checkpoints are still answering. Come back in a moment.", button("Look again", () => this.fill(), { kind: "primary" }));
    }
    return empty("All judged", `You have judged all ${plural(this.counts ? this.counts.total : 0, "match", "matches")}. Thank you.`, ...[results, undo].filter(Boolean));
  }

  fit() {
    const top = this.page.getBoundingClientRect().top + window.scrollY;
    this.page.style.setProperty("--pl-judge-top", `${Math.round(top)}px`);
    if (this.shown) this.view.fold();
  }

  vote(value) {
    const card = this.shown;
    if (!card) return;
    const { words } = describe(value);
    const seconds = Math.min(LONGEST_SECONDS, (performance.now() - this.since) / 1000);
    this.waiting.push({ card, body: { client_id: uuid(), value, seconds, guided: card.guided } });
    this.cards.shift();
    this.counts = { ...this.counts, by_you: this.counts.by_you + 1 };
    fill(this.last, h("strong", `✓ ${words}`), button("Undo", () => this.undo(), { kind: "small quiet" }));
    this.last.hidden = false;
    this.status.textContent = words;
    this.draw();
    this.send();
  }

  // One verdict after the other; what cannot be sent waits for the connection.
  async send() {
    if (this.sending) return this.sending;
    this.sending = this.drain().finally(() => { this.sending = null; });
    return this.sending;
  }

  async drain() {
    while (this.waiting.length) {
      const { card, body } = this.waiting[0];
      try {
        const { verdict, progress: counts } = await post(`/matches/${card.match_id}/verdicts`, body);
        this.past.push({ card, verdict: verdict.id });
        this.waiting.shift();
        if (!this.waiting.length) this.counts = counts;
      } catch (error) {
        if (error.status === 0 || error.status === 401 || error.outside) return;
        this.waiting.shift();
        toastError(error);
      }
    }
    this.drawBar();
    if (this.cards.length < AT_HAND) await this.fill();
  }

  async skip() {
    const card = this.shown;
    const reason = await dialog("Skip this match", (close) => {
      const input = h("input.pl-input", { autofocus: true, maxlength: 500, "aria-label": "Reason", placeholder: "Why? (may stay empty)" });
      const form = h("form.pl-stack", { onsubmit: (event) => { event.preventDefault(); close({ text: input.value.trim() }); } });
      return add(form, input, h("div.pl-row.end", button("Cancel", () => close()), button("Skip", null, { kind: "primary", type: "submit" })));
    });
    if (reason && this.shown === card) this.vote({ skip: reason.text });
  }

  async undo() {
    await this.send();
    const entry = this.past.pop();
    if (!entry) return void toast("There is nothing to undo here.");
    try {
      const { card, progress: counts } = await post(`/verdicts/${entry.verdict}/undo`, {});
      this.counts = counts;
      const again = { ...card, guided: entry.card.guided }; // it was handed out as before
      this.cards = [again, ...this.cards.filter((one) => one.match_id !== card.match_id)];
      this.last.hidden = true;
      this.draw();
      this.status.textContent = "Undone. The match is back.";
    } catch (error) {
      this.past.push(entry);
      toastError(error);
    }
  }

  marks() {
    if (!this.view.mark(!this.view.marking)) toast("These answers are too long to mark word by word.");
  }
}

function uuid() {
  const key = newKey();
  return key.includes("-") ? key : key.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}
