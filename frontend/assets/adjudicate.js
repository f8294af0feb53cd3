// Adjudication: items that people disagree about, blind; a key settles one, and only then the votes are shown.

import { get, newKey, post, put } from "./api.js";
import { add, badge, button, dialog, empty, errorCard, fill, h, html, link, progress, skeleton, table, toast, toastError } from "./dom.js";
import { count, number, plural } from "./format.js";
import { actions, param, title } from "./frame.js";
import { bind, enterMode, hint } from "./keys.js";
import { Controls } from "./label-controls.js";
import { describe, placeWords } from "./label-words.js";
import { SidesView } from "./sides.js";

const PAGE = 20;

export async function mount(element) {
  const page = h("div.pl-judge");
  element.append(page);
  const id = param("task");
  if (!id) {
    page.classList.add("pl-page");
    page.append(empty("Which task?", "The address names none.", link("All tasks", "/tasks", "pl-button primary")));
    return;
  }
  add(page, skeleton(6));
  try {
    const task = await get(`/tasks/${encodeURIComponent(id)}`);
    page.replaceChildren();
    await new Adjudication(page, task).start();
  } catch (error) {
    page.classList.add("pl-page");
    fill(page, errorCard(error, () => location.reload()));
  }
}

class Adjudication {
  constructor(page, task) {
    this.page = page;
    this.task = task;
    this.waiting = []; // disagreements at hand, the shown one first
    this.cursor = null;
    this.settled = []; // {entry, label} of what was settled here, the last one last
    this.turns = []; // what was asked for and is not done yet, in its order
    this.view = new SidesView();
    this.bar = h("div.pl-judge-progress");
    this.stage = h("div.pl-judge-stage", skeleton(6));
    this.votes = h("section.pl-votes", { hidden: true, "aria-label": "Votes" });
    this.status = h("div.pl-hidden", { role: "status", "aria-live": "polite" });
    bind("adjudicate-next", "Enter", "Next item, once one is settled", () => this.next(), "Adjudicate", "settled"); // before a ranking's own Enter
    // The question as it was asked, without what only a first look is asked for.
    const question = { ...task.question, aspects: [], edits: false, rationale: "optional" };
    this.controls = new Controls({ ...task, question, assistance: null }, {
      judge: (value) => this.settle(value), skip: () => this.pass(), undo: () => this.back(), marks: () => this.marks(), guidelines: () => this.guidelines(),
      changed: () => {}, say: (words) => toast(words), ranked: (groups) => this.shown && this.view.places(placeWords(groups, this.shown.responses.length)),
    });
  }

  async start() {
    title(`Adjudicate “${this.task.name}”`);
    actions(link("Task", `/task?id=${this.task.id}`, "pl-button"));
    add(this.page, this.bar, this.stage, this.votes, this.controls.element, this.status);
    addEventListener("resize", () => this.fit());
    bind("adjudicate-gold", "m", "Make the settled item gold", () => this.gold(), "Adjudicate");
    bind("label-skip", "s", "Leave it for later", () => this.pass(), "Adjudicate");
    bind("label-undo", "u", "Take the last one back", () => this.back(), "Adjudicate");
    bind("label-marks", "d", "Mark the words that differ", () => this.marks(), "Adjudicate");
    bind("label-guidelines", "g", "Guidelines", () => this.guidelines(), "Adjudicate");
    await this.fill();
  }

  guidelines() {
    return this.task.guidelines_html ? dialog("Guidelines", () => html(this.task.guidelines_html)) : toast("This task has no guidelines.");
  }

  fit() {
    const top = this.page.getBoundingClientRect().top + window.scrollY;
    this.page.style.setProperty("--pl-judge-top", `${Math.round(top)}px`);
    if (this.shown) this.view.fold();
  }

  async fill() {
    try {
      const found = await get(`/tasks/${this.task.id}/disagreements`, { cursor: this.cursor, limit: PAGE });
      this.cursor = found.next_cursor;
      this.more = found.next_cursor !== null;
      this.waiting.push(...found.items.filter((one) => !this.settled.some(({ entry }) => entry.item_id === one.item_id) && !this.waiting.some((other) => other.item_id === one.item_id)));
      this.present();
    } catch (error) {
      fill(this.stage, errorCard(error, () => this.fill()));
    }
  }

  present() {
    const [entry] = this.waiting;
    this.votes.hidden = true;
    this.answer = null;
    this.drawBar();
    if (!entry) return this.nothing();
    this.shown = entry;
    if (this.view.element.parentNode !== this.stage) fill(this.stage, this.view.element);
    this.fit();
    this.view.show(this.shown);
    this.controls.show(this.shown, {}, this.view.marking);
    this.status.textContent = `${plural(entry.labels, "label")} disagree. ${this.shown.prompt.at(-1).text.slice(0, 160)}`;
    return null;
  }

  drawBar() {
    const left = this.waiting.length - (this.answer ? 1 : 0);
    const hidden = !this.answer && this.waiting[0] ? h("span.pl-muted", `${plural(this.waiting[0].labels, "label")} on this one, hidden until you have decided`) : null;
    const words = [h("span", h("strong", count(this.settled.length)), " settled by you"), h("span.pl-muted", left ? `${count(left)}${this.more ? " or more" : ""} to go` : "none to go")];
    fill(this.bar, progress(this.settled.length, this.settled.length + left, "Settled"), h("div.pl-judge-numbers", words, hidden));
  }

  nothing() {
    this.shown = null;
    this.controls.hide();
    fill(this.stage, empty(this.settled.length ? "All settled" : "Nothing to settle", this.settled.length
      ? `You have settled ${plural(this.settled.length, "item")}. Their answers stand beside the votes, in exports too.`
      : this.task.overlap < 2 ? "This task wants one label an item: nobody can disagree. With two or more, items on which people differ come here." : "Nobody disagrees so far. Items on which people differ come here as the labels come.",
    ...[this.settled.length ? button("Take the last one back", () => this.back(), { kind: "quiet" }) : null, link("Back to the task", `/task?id=${this.task.id}`, "pl-button primary")].filter(Boolean)));
  }

  // What is pressed while the server is asked waits for its turn, and is about the item that was shown then. What fails
  // takes with it what was pressed after it: that was meant for what would have been.
  async soon(act) {
    const [entry] = this.waiting;
    this.turns.push(() => act(entry, entry === this.waiting[0]));
    if (this.turns.length > 1) return;
    while (this.turns.length) {
      try {
        await this.turns[0]();
        this.turns.shift();
      } catch (error) {
        this.turns = [];
        toastError(error);
      }
    }
  }

  settle(value) {
    const { rationale } = this.controls.said(value);
    const draft = { ...this.controls.draft, rationale };
    return this.soon(async (entry, shown) => {
      if (!shown) return void toast("Another item has come meanwhile: answer that one.");
      if (!entry || this.answer) return;
      const { words, side } = describe(value, this.controls.steps);
      this.view.choose(side);
      this.controls.hide();
      enterMode("settled");
      try {
        this.answer = await post(`/items/${entry.item_id}/adjudication`, { client_id: uuid(), value, rationale });
      } catch (error) {
        this.view.choose(null);
        this.controls.show(entry, draft, this.view.marking);
        throw error;
      }
      this.settled.push({ entry, label: this.answer.label.id });
      this.reveal(entry, words);
    });
  }

  reveal(entry, words) {
    const { votes } = this.answer;
    fill(this.votes,
      h("div.pl-row.between", h("h2", `✓ ${words}`), h("div.pl-row", this.goldButton = button("Make it gold", () => this.gold(), { kind: "small" }), link("Its history", `/item?id=${entry.item_id}`, "pl-button small"), button("Next", () => this.next(), { kind: "primary", key: "Enter" }))),
      table("Votes", COLUMNS, votes));
    this.goldButton.append(hint("adjudicate-gold"));
    this.votes.hidden = false;
    this.drawBar();
    this.fit();
    this.status.textContent = `Settled: ${words}. ${votes.map((one) => `${one.annotator}: ${describe(one.value).words}`).join(". ")}`;
  }

  gold() {
    return this.soon((entry, shown) => { if (shown) this.makeGold(entry); }); // nobody waits for it
  }

  async makeGold(entry) {
    if (!entry || !this.answer || this.goldButton.getAttribute("aria-pressed") === "true") return;
    const { goldButton, answer } = this; // whoever goes on to the next one at once has others
    try {
      const { items } = await get(`/items/${entry.item_id}/labels`); // these are in the item's own order, as known answers are
      const settled = items.find((one) => one.id === answer.label.id);
      await put(`/items/${entry.item_id}/gold`, { value: settled.value, note: "Adjudicated." });
      goldButton.setAttribute("aria-pressed", "true");
      toast("It is a gold item now.");
    } catch (error) {
      toastError(error);
    }
  }

  next() {
    return this.soon((_, shown) => {
      if (!shown || !this.answer) return null;
      this.waiting.shift();
      return this.onward();
    });
  }

  // The last decision is taken back, on the server too, and its item is the shown one again, undecided.
  back() {
    return this.soon(async () => {
      const last = this.settled.at(-1);
      if (!last) return void toast("There is nothing to take back.");
      await post(`/labels/${last.label}/undo`, {});
      this.settled.pop();
      if (this.waiting[0] !== last.entry) this.waiting.unshift(last.entry);
      this.present();
    });
  }

  // What one cannot settle now comes again at the end.
  pass() {
    return this.soon((entry, shown) => {
      if (!shown || this.answer || !entry) return;
      this.waiting.push(this.waiting.shift());
      this.present();
    });
  }

  onward() {
    return !this.waiting.length && this.more ? this.fill() : this.present();
  }

  marks() {
    if (!this.view.mark(!this.view.marking)) toast("These responses are too long to mark word by word.");
    this.controls.press(this.view.marking);
  }
}

function uuid() {
  const key = newKey();
  return key.includes("-") ? key : key.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}

const COLUMNS = [
  { title: "Annotator", cell: (one) => h("strong", one.annotator || "somebody") },
  { title: "Said", cell: (one) => [describe(one.value).words, one.surplus ? [" ", badge("surplus", "warn")] : null] },
  { title: "Reason", cell: (one) => h("span.pl-wrap", one.rationale || "") },
  { title: "Seconds", kind: "number", cell: (one) => number(one.seconds, 3) },
];
