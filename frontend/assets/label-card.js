// The labelling page: one card fills it, a key judges it, the next one is there at once.

import { connection, get, post } from "./api.js";
import { add, badge, button, errorCard, fill, h, progress, skeleton, toast, toastError } from "./dom.js";
import { count } from "./format.js";
import { actions, me, param, setParam, title } from "./frame.js";
import { bind } from "./keys.js";
import { choose } from "./label-chooser.js";
import { Controls } from "./label-controls.js";
import { askReason, askWhich, edit, showGuidelines, welcome } from "./label-dialogs.js";
import { draftOf, dropDraft, keepDraft, sweepDrafts } from "./label-drafts.js";
import { drawNotes } from "./label-notes.js";
import { AT_HAND, LabelQueue, Unsent } from "./label-queue.js";
import { busy, done, ended } from "./label-states.js";
import { describe, lengths, placeWords } from "./label-words.js";
import { letter, SidesView } from "./sides.js";
import { cardStyle } from "./vote-scale.js";

const LONGEST_SECONDS = 3600; // somebody went away and left the page open
const MARKS = "pl-judge-marks"; // whether differences stay marked

export async function mount(element) {
  await cardStyle();
  const page = h("div.pl-judge");
  element.append(page);
  if (param("task") || param("dataset")) await begin(page);
  else await choose(page);
}

// A dataset stands for its own task; its first cards come with the name of that.
async function begin(page) {
  fill(page, skeleton(6));
  try {
    let held = { cards: [], progress: null };
    if (!param("task")) {
      held = await post(`/datasets/${encodeURIComponent(param("dataset"))}/cards`, { n: AT_HAND });
      setParam("dataset", null);
      setParam("task", held.task_id);
    }
    const task = await get(`/tasks/${encodeURIComponent(param("task"))}`);
    fill(page);
    await new LabelPage(page, task, held).start();
  } catch (error) {
    fill(page, errorCard(error, () => begin(page)));
  }
}

class LabelPage {
  constructor(page, task, held) {
    this.page = page;
    this.task = task;
    this.queue = new LabelQueue(task, held);
    this.view = new SidesView();
    this.view.marking = read(MARKS) === "on";
    this.bar = h("div.pl-judge-progress");
    this.last = h("span.pl-judge-last", { hidden: true });
    this.stage = h("div.pl-judge-stage", skeleton(6));
    this.controls = new Controls(task, {
      judge: (value) => this.judge(value), skip: () => this.skip(), undo: () => this.undo(), marks: () => this.toggleMarks(),
      edit: () => this.edit(), guidelines: () => showGuidelines(task), say: (words) => this.hint(words),
      changed: (draft) => this.queue.card && keepDraft(this.queue.card, draft), ranked: () => this.drawPlaces(),
    });
    this.status = h("div.pl-hidden", { role: "status", "aria-live": "polite" });
    this.note = h("div.pl-judge-note", { hidden: true });
    this.drawn = null; // the item on the screen
    this.clock = { since: 0, seconds: 0 };
    this.bindKeys();
  }

  async start() {
    add(this.page, this.bar, this.note, this.stage, this.controls.element, this.status);
    title(`Label “${this.task.name}”`);
    actions(button("Other tasks", () => location.assign("/label"), { kind: "quiet" }));
    this.listen();
    sweepDrafts();
    this.queue.start();
    this.draw();
    await welcome(this.task, me.id);
    this.clock = { since: document.hidden ? 0 : performance.now(), seconds: 0 };
  }

  listen() {
    const { queue } = this;
    queue.addEventListener("change", () => this.draw());
    queue.addEventListener("error", ({ detail }) => (queue.card ? toastError(detail) : this.leave(errorCard(detail, () => queue.fill()))));
    queue.addEventListener("lost", () => toast("That one went to somebody else while you were away; here is the next one."));
    queue.addEventListener("withdrawn", () => toast("That one was withdrawn meanwhile: it needs no label any more. Here is the next one."));
    queue.addEventListener("surplus", () => toast("Your answer is kept, though enough others had answered meanwhile."));
    for (const name of ["lost", "back"]) connection.addEventListener(name, () => setTimeout(() => this.drawNote()));
    new ResizeObserver(() => this.fit()).observe(document.getElementById("pl-banner"));
    new ResizeObserver(() => document.documentElement.style.setProperty("--pl-judge-controls", `${this.controls.element.offsetHeight}px`)).observe(this.controls.element);
    document.addEventListener("visibilitychange", () => this.watch());
    addEventListener("resize", () => this.fit());
  }

  bindKeys() {
    const key = (action, letterKey, text, run) => bind(`label-${action}`, letterKey, text, run, "Label");
    key("skip", "s", "Skip, with or without a reason", () => this.skip());
    key("undo", "u", "Undo the last answer", () => this.undo());
    key("marks", "d", "Mark the words that differ", () => this.toggleMarks());
    if (this.task.question.edits) key("edit", "e", "Edit a response", () => this.edit());
    if (this.task.guidelines.trim()) key("guidelines", "g", "Guidelines", () => showGuidelines(this.task));
    key("all", "x", "Show all of the responses", () => this.drawn && this.view.unfold(!this.view.open));
    key("earlier", "p", "Show the whole prompt", () => this.drawn && this.view.togglePrompt());
    key("reasoning", "w", "Show the reasoning", () => this.drawn && (this.view.reason() || toast("There is no reasoning here.")));
  }

  // ---- what is seen ----

  draw() {
    const { card } = this.queue;
    this.drawBar();
    this.drawNote();
    if (card) {
      if (this.drawn !== card.item_id) this.present(card, draftOf(card));
    } else if (this.queue.ended) this.leave(ended(this.queue.ended));
    else if (this.queue.finished) this.leave(done(this.task, this.queue, () => this.undo()));
    else if (this.queue.loaded && !this.queue.filling && connection.online && this.queue.left > 0) this.leave(busy(this.queue.left));
    else if (!connection.online) this.leave(h("div.pl-empty", h("h2", "No connection"), h("p", "Your answers are kept. The next ones come when the server can be reached again.")));
    // Else more is on its way: what is seen stays, with its choice ticked.
  }

  // The card is as high as what the window leaves under it.
  fit() {
    const top = this.page.getBoundingClientRect().top + window.scrollY;
    this.page.style.setProperty("--pl-judge-top", `${Math.round(top)}px`);
    if (this.drawn) this.view.fold();
  }

  present(card, draft = {}, value = null) {
    if (this.view.element.parentNode !== this.stage) {
      fill(this.stage, this.view.element);
      this.fit();
    }
    document.activeElement?.closest(".pl-judge") && document.activeElement.blur(); // what had the focus is gone
    const marked = this.view.show(card);
    if (!marked) this.unmarked();
    this.drawn = card.item_id;
    this.controls.show(card, draft, this.view.marking);
    if (card.same_prompt) this.view.prompt.prepend(h("div.pl-same-prompt", badge(`${card.same_prompt.place} of ${card.same_prompt.count} with this prompt`)));
    this.view.choose(value && describe(value, this.controls.steps).side);
    this.drawPlaces();
    this.view.fold();
    this.clock = { since: document.hidden ? 0 : performance.now(), seconds: 0 };
  }

  drawPlaces() {
    const { card } = this.queue;
    if (card && card.kind === "ranking") this.view.places(placeWords(this.controls.ranking.groups, card.responses.length));
    else this.view.places(null);
  }

  leave(content) {
    this.drawn = null;
    this.controls.hide();
    fill(this.stage, content);
  }

  drawBar() {
    const { shown } = this.queue;
    if (!shown) return;
    const words = [
      h("span", h("strong", count(shown.labelled)), ` of ${count(shown.total)} labelled`),
      h("span.pl-muted", `${count(shown.byYou)} by you`),
      h("span.pl-muted", `${count(shown.today)} today`),
      this.task.deadline && h("span.pl-muted", { title: new Date(this.task.deadline).toString() }, `until ${new Date(this.task.deadline).toLocaleString([], { dateStyle: "medium", timeStyle: "short" })}`),
    ];
    fill(this.bar, progress(shown.labelled, shown.total, "Labelled items"), h("div.pl-judge-numbers", words, this.last));
  }

  // What was answered last, with the way back; only now how long the responses were.
  drawLast(words, card = null) {
    this.last.hidden = !words;
    if (words) fill(this.last, h("span.pl-muted", "The one before: "), h("strong", `✓ ${words}`), card && h("span.pl-muted.pl-lengths", `(${lengths(card.responses)})`), button("Undo", () => this.undo(), { kind: "small quiet" }));
  }

  drawNote() {
    drawNotes(this.note, this.queue);
  }

  // ---- what people do ----

  judge(value) {
    const { card } = this.queue;
    if (!this.drawn || !card) return;
    const unfinished = this.controls.draft.edit;
    if (unfinished && !unfinished.done && !("skip" in value)) return void this.edit();
    const { words, side } = describe(value, this.controls.steps);
    this.view.choose(side);
    const missing = this.controls.missing(value);
    if (missing) return void this.hint(missing);
    this.drawnSeconds();
    const said = this.controls.said(value);
    dropDraft(card);
    this.queue.answer(said, this.clock.seconds);
    this.drawLast(words, card);
    this.say(words);
  }

  hint(words) {
    this.status.textContent = words;
    toast(words);
  }

  say(words) {
    const { card, shown } = this.queue;
    const place = shown ? `${shown.labelled} of ${shown.total} labelled. ` : "";
    const last = card && card.prompt[card.prompt.length - 1].text.slice(0, 160);
    this.status.textContent = `${words}. ${place}${last ? `Next prompt: ${last}` : ""}`;
  }

  async skip() {
    if (!this.drawn) return;
    const item = this.drawn;
    const reason = await askReason();
    if (reason !== null && this.drawn === item) this.judge({ skip: reason });
  }

  async edit() {
    const { card } = this.queue;
    if (!this.drawn || !card || !this.task.question.edits) return;
    const begun = this.controls.draft.edit;
    const response = begun ? begun.response : await askWhich(card.responses.length);
    if (response === null || this.queue.card !== card) return;
    const original = card.responses[response].text;
    const keep = (text, done) => this.controls.keep({ edit: text === null || text.trim() === original.trim() ? null : { response, text, done } });
    const text = await edit(letter(response), begun ? begun.text : original, (now) => keep(now, false));
    if (text !== undefined && this.queue.card === card) keep(text, true);
  }

  async undo() {
    if (this.undoing) return;
    this.undoing = true;
    try {
      const undone = await this.queue.undo();
      if (!undone) return void toast("There is nothing to undo here.");
      const { card, value, aspects, rationale, edit: edited } = undone;
      this.drawLast(null);
      if (!card) return void toast("Taken back. Others have this one by now, so it does not come back to you.");
      this.present(card, { aspects, rationale, edit: edited && { ...edited, done: true }, groups: value.ranking }, value);
      keepDraft(card, this.controls.draft);
      this.status.textContent = `Undone: ${describe(value, this.controls.steps).words}. The card is back.`;
    } catch (error) {
      if (error instanceof Unsent) toast("That answer is not sent yet; undo works as soon as the connection is back.");
      else toastError(error);
    } finally {
      this.undoing = false;
    }
  }

  toggleMarks() {
    if (this.drawn && this.view.sides.length !== 2) return void toast("Differences are marked between two responses.");
    const on = !this.view.marking;
    write(MARKS, on ? "on" : "off");
    this.controls.press(on);
    if (!this.view.mark(on)) this.unmarked();
  }

  unmarked() {
    toast("These responses are too long to mark word by word.");
  }

  // Seconds that the card was in view.
  drawnSeconds() {
    const { since, seconds } = this.clock;
    const more = since ? (performance.now() - since) / 1000 : 0;
    this.clock = { since: 0, seconds: Math.min(LONGEST_SECONDS, Math.round((seconds + more) * 1000) / 1000) };
  }

  watch() {
    if (!this.drawn) return;
    if (document.hidden) this.drawnSeconds();
    else this.clock.since = performance.now();
  }
}

function read(key) {
  try {
    return localStorage.getItem(key);
  } catch {
    return null; // storage is off: the default holds
  }
}

function write(key, value) {
  try {
    localStorage.setItem(key, value);
  } catch {
    // Storage is off: the choice lasts until the page is left.
  }
}
