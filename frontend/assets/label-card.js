// The labelling page: one pair fills it, a key judges it, the next one is there at once.

import { connection, get } from "./api.js";
import { add, button, dialog, empty, errorCard, fill, h, progress, skeleton, toast, toastError } from "./dom.js";
import { count, plural } from "./format.js";
import { actions, mayResearch, param, title } from "./frame.js";
import { bind } from "./keys.js";
import { choose } from "./label-chooser.js";
import { LabelQueue, Unsent } from "./label-queue.js";
import { controls, SCALE, SHORTCUTS } from "./label-scale.js";
import { describe, PairView } from "./pair.js";

const LONGEST_SECONDS = 3600; // somebody went away and left the page open
const MARKS = "pl-judge-marks"; // whether differences stay marked

export async function mount(element) {
  await style();
  const dataset = param("dataset");
  const page = h("div.pl-judge");
  element.append(page);
  if (dataset) new LabelPage(page, dataset).start();
  else await choose(page);
}

const style = () =>
  new Promise((resolve) => {
    const sheet = h("link", { rel: "stylesheet", href: new URL("./label-card.css", import.meta.url).href });
    sheet.onload = sheet.onerror = resolve;
    document.head.append(sheet);
  });

class LabelPage {
  constructor(page, dataset) {
    this.page = page;
    this.dataset = dataset;
    this.queue = new LabelQueue(dataset);
    this.view = new PairView();
    this.view.marking = read(MARKS) === "on";
    this.bar = h("div.pl-judge-progress");
    this.last = h("span.pl-judge-last", { hidden: true });
    this.stage = h("div.pl-judge-stage", skeleton(6));
    this.bindKeys();
    this.controls = this.drawControls();
    this.status = h("div.pl-hidden", { role: "status", "aria-live": "polite" });
    this.note = h("div.pl-judge-note", { hidden: true });
    this.drawn = null; // the item on the screen
    this.clock = { since: 0, seconds: 0 };
  }

  async start() {
    add(this.page, this.bar, this.note, this.stage, this.controls, this.status);
    this.listen();
    this.queue.start();
    try {
      const { items } = await get("/progress");
      const mine = items.find((one) => one.dataset_id === this.dataset);
      if (mine) title(`Label “${mine.name}”`);
      actions(button("Other datasets", () => location.assign("/label"), { kind: "quiet" }));
    } catch (error) {
      if (error.status !== 0) toastError(error);
    }
  }

  listen() {
    const { queue } = this;
    queue.addEventListener("change", () => this.draw());
    queue.addEventListener("error", ({ detail }) => this.failed(detail));
    queue.addEventListener("lost", () => toast("That pair went to somebody else while you were away; here is the next one."));
    queue.addEventListener("refused", ({ detail }) => this.refused(detail));
    for (const name of ["lost", "back"]) connection.addEventListener(name, () => setTimeout(() => this.drawNote()));
    new ResizeObserver(() => this.fit()).observe(document.getElementById("pl-banner"));
    document.addEventListener("visibilitychange", () => this.watch());
    addEventListener("resize", () => this.fit());
    addEventListener("pl-keys", () => this.redrawControls());
  }

  bindKeys() {
    for (const [action, key, value, text] of [...SCALE, ...SHORTCUTS]) this.bind(action, key, text, () => this.judge({ strength: value }));
    this.bind("both-bad", "b", "Both bad", () => this.judge({ both_bad: true }));
    this.bind("skip", "s", "Skip, with or without a reason", () => this.skip());
    this.bind("undo", "u", "Undo the last answer", () => this.undo());
    this.bind("marks", "d", "Mark the words that differ", () => this.toggleMarks());
    this.bind("all", "e", "Show all of both responses", () => this.drawn && this.view.unfold(!this.view.open));
    this.bind("earlier", "p", "Show the whole prompt", () => this.drawn && this.view.togglePrompt());
  }

  bind(action, key, text, run) {
    bind(`label-${action}`, key, text, run, "Label");
  }

  // ---- what is seen ----

  draw() {
    const { card } = this.queue;
    this.drawBar();
    this.drawNote();
    if (card) {
      if (this.drawn !== card.item_id) this.present(card);
    } else if (this.queue.finished) this.leave(this.done());
    else if (this.queue.loaded && !this.queue.filling && connection.online && this.queue.left > 0) this.leave(this.busy());
    else if (!connection.online) this.leave(empty("No connection", "Your answers are kept. The next pairs come when the server can be reached again."));
    // Else more is on its way: what is seen stays, with its choice ticked.
  }

  // The card is as high as what the window leaves under it.
  fit() {
    const top = this.page.getBoundingClientRect().top + window.scrollY;
    this.page.style.setProperty("--pl-judge-top", `${Math.round(top)}px`);
    if (this.drawn) this.view.fold();
  }

  present(card, value = null) {
    this.controls.hidden = false;
    if (this.view.element.parentNode !== this.stage) {
      fill(this.stage, this.view.element);
      this.fit();
    }
    const marked = this.view.show(card);
    if (!marked) this.unmarked();
    this.drawn = card.item_id;
    this.view.choose(value && describe(value).side);
    this.clock = { since: document.hidden ? 0 : performance.now(), seconds: 0 };
  }

  leave(content) {
    this.drawn = null;
    this.controls.hidden = true;
    fill(this.stage, content);
  }

  drawBar() {
    const shown = this.queue.shown;
    if (!shown) return;
    const words = [
      h("span", h("strong", count(shown.labelled)), ` of ${count(shown.total)} labelled`),
      h("span.pl-muted", `${count(shown.byYou)} by you`),
      h("span.pl-muted", `${count(shown.today)} today`),
    ];
    fill(this.bar, progress(shown.labelled, shown.total, "Labelled pairs"), h("div.pl-judge-numbers", words, this.last));
  }

  // What was answered last, with the way back.
  drawLast(words) {
    this.last.hidden = !words;
    if (words) fill(this.last, h("strong", `✓ ${words}`), button("Undo", () => this.undo(), { kind: "small quiet" }));
  }

  // Answers that wait for the connection, in words.
  drawNote() {
    const { unsent } = this.queue;
    this.note.hidden = connection.online || !unsent;
    if (!this.note.hidden) {
      const [waits, them] = unsent === 1 ? ["waits", "It is"] : ["wait", "They are"];
      this.note.textContent = `${plural(unsent, "answer")} ${waits} for the connection. ${them} kept in this browser; go on.`;
    }
  }

  drawControls() {
    const run = {
      judge: (value) => this.judge(value), skip: () => this.skip(), undo: () => this.undo(), marks: () => this.toggleMarks(),
    };
    return controls(run, this.view.marking);
  }

  redrawControls() {
    const fresh = this.drawControls();
    fresh.hidden = this.controls.hidden;
    this.controls.replaceWith(fresh);
    this.controls = fresh;
  }

  // ---- what people do ----

  judge(value) {
    if (!this.drawn || !this.queue.card) return;
    const { words, side } = describe(value);
    this.view.choose(side);
    this.drawnSeconds();
    this.queue.answer(value, this.clock.seconds);
    this.say(words);
  }

  say(words) {
    const { card, shown } = this.queue;
    this.drawLast(words);
    const place = shown ? `${shown.labelled} of ${shown.total} labelled. ` : "";
    const last = card && card.prompt[card.prompt.length - 1].text.slice(0, 160);
    this.status.textContent = `${words}. ${place}${last ? `Next prompt: ${last}` : ""}`;
  }

  async skip() {
    if (!this.drawn) return;
    const item = this.drawn;
    const reason = await dialog("Skip this pair", (close) => {
      const input = h("input.pl-input", { autofocus: true, maxlength: 500, "aria-label": "Reason", placeholder: "Why? (may stay empty)" });
      const form = h("form.pl-stack", { onsubmit: (event) => { event.preventDefault(); close({ text: input.value.trim() }); } });
      return add(form, input, h("div.pl-row.end", button("Cancel", () => close()), button("Skip", null, { kind: "primary", type: "submit", key: "Enter" })));
    });
    if (reason && this.drawn === item) this.judge({ skip: reason.text });
  }

  async undo() {
    if (this.undoing) return;
    this.undoing = true;
    try {
      const undone = await this.queue.undo();
      if (!undone) return void toast("There is nothing to undo here.");
      this.drawLast(null);
      this.present(undone.card, undone.value);
      this.status.textContent = `Undone: ${describe(undone.value).words}. The pair is back.`;
    } catch (error) {
      if (error instanceof Unsent) toast("That answer is not sent yet; undo works as soon as the connection is back.");
      else toastError(error);
    } finally {
      this.undoing = false;
    }
  }

  toggleMarks() {
    const on = !this.view.marking;
    write(MARKS, on ? "on" : "off");
    this.controls.querySelector("[data-action=marks]").setAttribute("aria-pressed", String(on));
    if (!this.view.mark(on)) this.unmarked();
  }

  unmarked() {
    toast("These responses are too long to mark word by word.");
  }

  // Seconds that the pair was in view.
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

  // ---- the other states ----

  done() {
    const { total, byYou } = this.queue.shown;
    const others = h("a.pl-button", { href: "/label" }, "Label another dataset");
    const undo = this.queue.history.length ? button("Undo the last answer", () => this.undo(), { kind: "quiet" }) : null;
    if (!total) return empty("No pairs here", "This dataset holds no pairs yet.", others);
    const train = h("a.pl-button.primary", { href: `/new-run?dataset=${encodeURIComponent(this.dataset)}` }, "Train on this");
    return empty(
      "All done here",
      `Nothing is left for you among ${plural(total, "pair")}; ${count(byYou)} of the labels are yours. Thank you.`,
      ...[mayResearch && train, others, undo].filter(Boolean),
    );
  }

  busy() {
    return empty(
      "Others hold the rest",
      `The last ${plural(this.queue.left, "pair")} ${this.queue.left === 1 ? "is" : "are"} open in front of other people. What they give back comes here by itself.`,
      h("a.pl-button", { href: "/label" }, "Label another dataset"),
    );
  }

  failed(error) {
    if (this.queue.card) return toastError(error);
    return this.leave(errorCard(error, () => this.queue.fill()));
  }

  refused({ error }) {
    toast(`One answer could not be saved: ${error.detail} ${error.remedy || ""}`, { kind: "bad", seconds: 15 });
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
