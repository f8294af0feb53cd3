// What stands under a card: the question's own control, ratings, the rationale, and the smaller buttons. It holds what
// somebody has begun on the card, and says when there is an answer.

import { add, fill, h } from "./dom.js";
import { Aspects, MINUS, RATE_KEYS } from "./label-aspects.js";
import { PLACE_KEYS, Ranking } from "./label-rank.js";
import { other, scale, shortcuts, steps, THUMB_SHORTCUTS, THUMBS, thumbs } from "./label-scale.js";
import { bind, enterMode, hint } from "./keys.js";
import { describe } from "./label-words.js";
import { letter } from "./sides.js";

const GROUP = "Label";
const LONGEST_RATIONALE = 10_000;

export class Controls {
  // run: {judge(value), skip, undo, marks, edit, guidelines, changed(draft), ranked(groups), say(words)}
  constructor(task, run) {
    this.task = task;
    this.question = task.question;
    this.run = run;
    this.card = null;
    this.pressed = false; // differences are marked
    this.draft = {};
    this.pending = null; // what was judged and waits for a rationale
    this.aspects = new Aspects(this.question.aspects, (values) => this.keep({ aspects: values }));
    const ranked = (groups) => {
      this.keep({ groups });
      run.ranked(groups);
    };
    this.ranking = new Ranking(ranked, () => this.rank());
    this.main = h("div.pl-judge-main");
    this.note = h("div.pl-judge-hints");
    this.reason = this.drawReason();
    this.others = h("div.pl-row.center.pl-judge-others");
    this.element = h("div.pl-judge-controls", { hidden: true }, this.note, this.aspects.element, this.main, this.reason, this.others);
    this.bindKeys();
    addEventListener("pl-keys", () => this.draw());
  }

  get steps() {
    return steps(this.question).length;
  }

  bindKeys() {
    const { run, question } = this;
    // Digits judge when there is nothing (left) to rate.
    const vote = (action, key, text, value) => this.bind(action, key, text, () => run.judge(value), /^\d$/.test(key) ? "vote" : null);
    if (question.kind === "pair") {
      for (const [action, key, value, text] of [...steps(question), ...shortcuts(question)]) vote(action, key, text, { strength: value });
      if (question.both_bad) this.bind("both-bad", "b", "Both bad", () => run.judge({ both_bad: true }));
    } else if (question.kind === "thumb") {
      for (const [action, key, value, text] of [...THUMBS, ...THUMB_SHORTCUTS]) vote(action, key, text, { thumb: value });
    } else {
      PLACE_KEYS.forEach((key, one) => this.bind(`place-${one + 1}`, key, `Response ${letter(one)} comes next`, () => this.card && this.ranking.place(one), "vote"));
      this.bind("rank-tie", "t", "The next one is tied with the last", () => this.card && this.ranking.tie());
    }
    if (question.kind === "ranking" || this.task.assistance?.suggest) this.bind("accept", "Enter", question.kind === "ranking" ? "Send the ranking" : "Take the suggestion", () => this.accept());
    if (question.kind === "ranking" || question.aspects.length) this.bind("back", "Backspace", "Take back the last step", () => this.back());
    if (question.aspects.length) {
      RATE_KEYS.forEach((key) => this.bind(`rate-${key}`, key, `Rate with ${key}`, () => this.card && this.aspects.digit(Number(key)), "rate"));
      if (this.aspects.signed) this.bind("rate-minus", MINUS, "Rate below zero", () => this.card && this.aspects.digit(MINUS), "rate");
    }
    if (question.rationale !== "off") this.bind("rationale", "r", "Write why", () => this.ask());
  }

  bind(action, key, text, act, inMode = null) {
    bind(`label-${action}`, key, text, act, GROUP, inMode);
  }

  // A card with what was begun on it: {aspects, rationale, groups, edit}.
  show(card, draft, marking) {
    this.card = card;
    this.draft = { ...draft };
    this.pressed = marking;
    this.pending = null;
    const n = card.responses.length;
    this.aspects.show(n, draft.aspects);
    if (this.question.kind === "ranking") this.ranking.show(n, (draft.groups || []).filter((group) => group.every((one) => one < n)));
    this.field.value = draft.rationale || "";
    this.element.hidden = false;
    this.draw();
  }

  hide() {
    this.card = null;
    this.element.hidden = true;
    enterMode(null);
  }

  keep(more) {
    Object.assign(this.draft, more);
    this.run.changed(this.draft);
    this.drawNote();
    this.turn();
  }

  // Digits rate while a rating is asked for, and judge when all are given.
  turn() {
    const rating = this.aspects.asking;
    enterMode(rating ? "rate" : "vote");
    this.element.classList.toggle("rating", rating);
  }

  back() {
    if (!this.card) return;
    if (this.question.kind === "ranking" && this.ranking.groups.length) this.ranking.back();
    else this.aspects.back();
    this.turn();
  }

  // A ranking is done, or the suggestion taken: into the ranking, or as the answer.
  accept() {
    if (!this.card) return;
    const suggested = this.card.suggestion && this.card.suggestion.value;
    if (this.question.kind !== "ranking") return void (suggested && this.run.judge(suggested));
    if (suggested && !this.ranking.groups.length) {
      this.ranking.show(this.ranking.n, suggested.ranking);
      this.ranking.changed();
    } else this.rank();
  }

  rank() {
    const groups = this.ranking.whole;
    if (groups.flat().length < this.ranking.n) return this.run.say("Give every response a place first.");
    return this.run.judge({ ranking: groups.map((group) => [...group].sort((one, two) => one - two)) });
  }

  // What stands in the way of sending `value`, asked for at once; null when nothing does.
  missing(value) {
    if ("skip" in value) return null;
    if (!this.aspects.complete) {
      this.aspects.remind();
      this.turn();
      return "Rate every response first.";
    }
    if (this.question.rationale === "required" && !this.field.value.trim()) {
      this.pending = value;
      this.ask();
      return "Say why, then press Enter.";
    }
    return null;
  }

  said(value) {
    const skip = "skip" in value;
    const { edit } = this.draft;
    return {
      value,
      aspects: this.question.aspects.length && !skip ? this.aspects.values : null,
      rationale: this.field.value.trim() || null,
      edit: edit && edit.done ? { response: edit.response, text: edit.text } : null,
    };
  }

  // ---- the rationale ----

  drawReason() {
    const label = this.question.rationale === "required" ? "Why? (needed)" : "Why? (may stay empty)";
    this.field = h("textarea.pl-input", { rows: 2, maxlength: LONGEST_RATIONALE, "aria-label": "Rationale", placeholder: label });
    this.field.addEventListener("input", () => this.keep({ rationale: this.field.value }));
    this.field.addEventListener("keydown", (event) => {
      if (event.key === "Escape" || (event.key === "Enter" && !event.shiftKey)) {
        event.preventDefault();
        this.field.blur();
        this.drawReasonState();
      }
      if (event.key === "Escape") this.pending = null;
      if (event.key === "Enter" && !event.shiftKey && this.pending && this.field.value.trim()) this.run.judge(this.pending);
    });
    this.field.addEventListener("blur", () => this.drawReasonState());
    return h("div.pl-judge-reason", { hidden: true }, this.field, h("span.pl-muted", h("kbd", "Enter"), " done · ", h("kbd", "Shift Enter"), " new line"));
  }

  drawReasonState() {
    const typing = document.activeElement === this.field;
    this.reason.hidden = this.question.rationale === "off" || (!typing && !this.field.value);
  }

  ask() {
    if (!this.card || this.question.rationale === "off") return;
    this.reason.hidden = false;
    this.field.focus();
  }

  // ---- drawing ----

  draw() {
    if (!this.card) return;
    const suggested = this.card.suggestion ? this.card.suggestion.value : {};
    const { kind } = this.question;
    if (kind === "pair") fill(this.main, scale(this.question, this.run.judge, suggested.strength ?? null));
    else if (kind === "thumb") fill(this.main, thumbs(this.run.judge, suggested.thumb ?? null));
    else {
      this.ranking.draw();
      const send = other("Send", "accept", () => this.rank());
      send.classList.add("primary");
      fill(this.main, h("div.pl-rank-row", this.ranking.element, other("Tie", "rank-tie", () => this.ranking.tie()), send));
    }
    this.drawOthers();
    this.drawNote();
    this.drawReasonState();
    this.turn();
  }

  drawOthers() {
    const { question, run, task } = this;
    fill(
      this.others,
      question.kind === "pair" && question.both_bad && other("Both bad", "both-bad", () => run.judge({ both_bad: true })),
      other("Skip…", "skip", run.skip),
      other("Undo", "undo", run.undo),
      this.card.responses.length === 2 && other("Differences", "marks", run.marks, this.pressed),
      question.edits && other("Edit…", "edit", run.edit),
      question.rationale !== "off" && other("Why", "rationale", () => this.ask()),
      task.guidelines.trim() && other("Guidelines", "guidelines", run.guidelines),
    );
  }

  // What a machine suggests, and what was begun on this card.
  drawNote() {
    const { suggestion } = this.card;
    const { edit } = this.draft;
    fill(this.note);
    if (suggestion) {
      const placed = this.question.kind === "ranking" && this.ranking.groups.length; // then Enter sends what stands there
      const take = !placed && h("button.pl-button.small", { type: "button", onclick: () => this.accept() }, "Take it", hint("label-accept"));
      add(this.note, h("span.pl-judge-suggestion", h("span.pl-badge.warn", "suggested"), h("strong", describe(suggestion.value, this.steps).words), h("span.pl-muted", `by ${suggestion.by}`), take));
    }
    if (edit) {
      const which = letter(edit.response);
      add(this.note, h("span", edit.done ? `Your edit of ${which} is sent with your answer.` : `Your edit of ${which} is not finished.`, other(edit.done ? "Change it" : "Go on editing", "edit", this.run.edit)));
    }
    this.note.hidden = !suggestion && !edit;
  }

  press(on) {
    this.pressed = on;
    this.others.querySelector("[data-action=marks]")?.setAttribute("aria-pressed", String(on));
  }
}
