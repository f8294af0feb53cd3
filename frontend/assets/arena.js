// The arena: a prompt, two to four checkpoints answering it blind and side by side, a vote, further turns, their names.

import { get, newKey, post } from "./api.js";
import { Choice } from "./arena-choice.js";
import { Composer } from "./arena-composer.js";
import { Reply } from "./arena-reply.js";
import { Tally } from "./arena-tally.js";
import { BattleView } from "./arena-view.js";
import { button, empty, errorCard, fill, h, skeleton, toast, toastError } from "./dom.js";
import { actions, mayResearch } from "./frame.js";
import { bind } from "./keys.js";
import { askReason } from "./label-dialogs.js";
import { describe } from "./label-words.js";
import { live } from "./live.js";
import { letter } from "./sides.js";
import { exportVotes } from "./votes-export.js";

const ENDED = ["succeeded", "failed", "cancelled", "lost"];
const LONG_WAIT = 6; // seconds after which a waiting person is told what may be wrong
const AGAIN = [1, 2, 4, 8];

export class Arena {
  constructor(page) {
    this.page = page;
    this.composer = new Composer((wish) => this.ask(wish));
    this.view = new BattleView();
    this.stage = h("section.pl-arena-stage", { "aria-label": "Answers" });
    this.status = h("div.pl-arena-status", { role: "status", "aria-live": "polite" });
    this.choice = new Choice({
      vote: (value) => this.vote(value), skip: () => this.skip(), marks: () => this.marks(),
      placed: (words) => this.view.places(words), say: (words) => toast(words),
    });
    this.reply = new Reply((text) => this.goOn(text));
    this.tally = new Tally();
    this.battle = this.polling = null;
    this.bound = [];
  }

  async start() {
    this.page.append(skeleton(5));
    const lists = mayResearch ? ["/checkpoints", "/datasets"].map((path) => get(path, { limit: 100 })) : [];
    const [checkpoints, datasets] = (await Promise.all(lists)).map((one) => one.items);
    const able = checkpoints && checkpoints.filter((one) => one.kind === "language_model");
    if (able && able.length < 2) return this.tooFew(able.length);
    if (mayResearch) actions(button("Add votes to a dataset", () => exportVotes({ arena: true }, "Arena votes"), { kind: "" }));
    this.composer.offer(able || null, datasets || null);
    bind("arena-next", "n", "Write the next prompt", () => this.composer.focus(), "Arena");
    fill(this.page, this.composer.element, this.stage, this.status, this.choice.element, this.reply.element, this.tally.element);
    this.tally.refresh();
    const { items } = await get("/arena/battles", { limit: 12 });
    this.composer.remember(items.filter((one) => one.turn === 1).map(said));
    // A battle from before a reload goes on where it was.
    if (items.length && !items[0].names) this.follow(items[0]);
    else this.invite();
    return null;
  }

  tooFew(number) {
    const text = number
      ? "There is one checkpoint, and it has nobody to meet. Train a run on it, or register another one."
      : "A comparison needs two checkpoints, and there is none yet.";
    fill(this.page, empty("Two checkpoints make a comparison", text,
      h("a.pl-button.primary", { href: number ? "/new-run" : "/checkpoints" }, number ? "Launch a run" : "Register a checkpoint"),
      h("a.pl-button", { href: "/checkpoints" }, "Checkpoints")));
  }

  invite() {
    this.composer.focus();
    fill(this.stage, empty("Ask anything", "Two to four checkpoints answer side by side. You vote without knowing which is which, and may talk on with all of them; their names are shown when you want to know."));
  }

  async ask(wish) {
    this.composer.busy(true);
    try {
      const battle = await post("/arena/battles", wish, { key: newKey() });
      this.composer.remember([wish.prompt]);
      this.tally.refresh();
      this.composer.blur();
      this.follow(battle);
    } catch (error) {
      this.composer.busy(false);
      if (this.composer.fail(error)) return;
      if (this.battle) toastError(error);
      else fill(this.stage, errorCard(error));
    }
  }

  async goOn(text) {
    this.composer.busy(true);
    try {
      const battle = await post(`/arena/battles/${this.battle.id}/turns`, { text }, { key: newKey() });
      this.reply.sent();
      this.follow(battle);
    } catch (error) {
      this.composer.busy(false);
      this.reply.failed();
      toastError(error);
    }
  }

  // Show the battle as it stands and its text as it grows.
  follow(battle) {
    this.quiet();
    this.battle = battle;
    if (ENDED.includes(battle.state)) return this.ended(battle);
    this.composer.busy(true);
    fill(this.stage, this.view.element);
    this.view.begin(battle);
    this.waitingSince = performance.now();
    this.say(battle.state, true);
    let cursor = null;
    this.polling = live(
      async (signal) => {
        const found = await get(`/arena/battles/${battle.id}/tokens`, { after: cursor }, { signal });
        if (found.done) {
          this.view.keep(found.texts);
          this.ended(await get(`/arena/battles/${battle.id}`));
          return "done";
        }
        cursor = found.cursor;
        this.view.grow(found, this.composer.hold.checked);
        this.say(found.state, !this.view.begun);
        return found.texts.some(Boolean);
      },
      { seconds: 0.15, slowest: 1, onerror: (error) => error.status !== 503 && toastError(error) },
    );
    return null;
  }

  say(state, silent) {
    const seconds = (performance.now() - this.waitingSince) / 1000;
    const words =
      state === "stopping" ? "Stopping…"
      : !silent ? (this.composer.hold.checked ? "Answering… the answers are shown when all are done." : "Answering…")
      : state === "queued" && seconds > LONG_WAIT ? "Still waiting for a worker. If this lasts, check that the light worker runs."
      : state === "queued" ? "Waiting for a worker…" : "Loading the checkpoints…";
    if (this.said === words) return;
    this.said = words;
    fill(this.status, words, button("Stop", () => this.cancel(), { kind: "small" }));
  }

  ended(battle) {
    this.quiet();
    this.battle = battle;
    this.composer.busy(false);
    if (battle.state !== "succeeded") return this.unanswered(battle);
    fill(this.stage, this.view.element);
    this.view.show(battle);
    this.since = performance.now();
    if (battle.names) this.told(battle);
    else if (battle.vote) this.voted(battle);
    else {
      fill(this.status, question(battle));
      if (!battle.answers.includes(null)) this.choice.show(battle.contestants);
    }
    this.reply.offer(battle);
    return null;
  }

  unanswered(battle) {
    this.status.textContent = "";
    const stopped = battle.state === "cancelled";
    const again = battle.names ? [] : [button("Try again", () => this.retry(), { kind: "primary", key: "R" })];
    if (!battle.names) this.bound.push(bind("arena-retry", "r", "Have the same checkpoints try again", () => this.retry(), "Arena"));
    const card = h("div", { class: stopped ? "pl-card" : "pl-error", role: "alert" }, h("strong", stopped ? "Stopped" : "No answers"),
      h("p", battle.reason || "The battle has ended."), battle.remedy && h("p.pl-muted", battle.remedy),
      h("div.pl-row", again,
        battle.turn > 1 && !battle.names && button("Say something else", () => this.back(battle)),
        battle.turn === 1 && button("Edit the prompt", () => this.composer.take(said(battle)))));
    fill(this.stage, card, this.view.partial(battle) && this.view.element);
  }

  // To the turn before, whose answers are there, with the text that found none.
  async back(battle) {
    try {
      this.ended(await get(`/arena/battles/${battle.before.at(-1).battle_id}`));
      this.reply.take(said(battle));
    } catch (error) {
      toastError(error);
    }
  }

  async retry() {
    this.quiet();
    try {
      this.follow(await post(`/arena/battles/${this.battle.id}/retry`, {}));
    } catch (error) {
      this.ended(this.battle);
      toastError(error);
    }
  }

  // No polling, no keys of before.
  quiet() {
    this.polling?.stop();
    this.polling = null;
    this.said = null;
    this.bound.forEach((remove) => remove());
    this.bound = [];
    this.choice.show(0);
    this.reply.hide();
    this.view.still();
  }

  async cancel() {
    try {
      const battle = await post(`/arena/battles/${this.battle.id}/cancel`, {});
      if (ENDED.includes(battle.state)) this.ended(battle);
    } catch (error) {
      if (error.status !== 409) toastError(error);
    }
  }

  async skip() {
    const { battle } = this;
    const reason = await askReason();
    if (reason !== null && this.battle === battle) this.vote({ skip: reason });
  }

  async vote(value) {
    const { battle } = this;
    this.choice.show(0);
    this.reply.hide();
    this.view.choose(describe(value, 7, battle.contestants).side);
    this.status.textContent = "Saving your vote…";
    const body = { client_id: uuid(), value, seconds: Math.min(3600, (performance.now() - this.since) / 1000) };
    for (let attempt = 0; ; attempt += 1) {
      try {
        const found = await post(`/arena/battles/${battle.id}/vote`, body);
        if (this.battle === battle) this.ended(found);
        return;
      } catch (error) {
        // The same client_id makes a repeated vote harmless.
        if (error.status === 0 && attempt < AGAIN.length) {
          await new Promise((resolve) => setTimeout(resolve, AGAIN[attempt] * 1000));
          continue;
        }
        toastError(error);
        if (this.battle !== battle) return;
        this.ended(battle);
        this.status.textContent = "Your vote is not saved. Vote again.";
        return;
      }
    }
  }

  // The vote is stored and the names are not known: it can be taken back, the conversation can go on.
  voted(battle) {
    const { words } = this.mark(battle);
    this.bound.push(
      bind("arena-names", "Enter", "Show the names", () => this.reveal(), "Arena"),
      bind("label-undo", "u", "Take the vote back", () => this.undo(), "Vote"),
    );
    fill(this.status, h("strong", `✓ ${words}. `),
      button("Show names", () => this.reveal(), { kind: "primary small", key: "Enter" }),
      button("Undo", () => this.undo(), { kind: "small", key: "U" }),
      button("Next prompt", () => this.composer.focus(), { kind: "small", key: "N" }));
  }

  mark({ vote, contestants }) {
    const found = describe(vote, 7, contestants);
    this.view.chosen(vote, found.side);
    return found;
  }

  async undo() {
    try {
      this.ended(await post(`/arena/battles/${this.battle.id}/undo`, {}));
    } catch (error) {
      toastError(error);
    }
  }

  async reveal() {
    try {
      this.ended(await post(`/arena/battles/${this.battle.id}/reveal`, {}));
      this.tally.refresh();
    } catch (error) {
      toastError(error);
    }
  }

  told(battle) {
    const words = battle.vote ? `✓ ${this.mark(battle).words}. ` : "";
    this.view.name(battle.names);
    const who = battle.names.map((one, place) => `${letter(place)} is ${one.name}`).join(", ");
    fill(this.status, h("span", words && h("strong", words), `${who}.`), button("Next prompt", () => this.composer.focus(), { kind: "primary small", key: "N" }));
  }

  marks() {
    if (!this.view.mark(!this.view.marking)) toast("These answers are too long to mark word by word.");
  }
}

// What is asked about the answers, and beforehand what a vote on a later turn does not do.
function question(battle) {
  if (battle.answers.includes(null)) return "These answers were deleted by a retention rule.";
  const asked = battle.contestants === 2 ? "Which answer is better?" : "Which answers are better? Give each its place, or only the best.";
  const parted = battle.before.some(({ answers }) => new Set(answers.map((one) => one?.text)).size > 1);
  return parted ? [asked, h("span.pl-muted.pl-note", "The conversations have parted: this vote counts in the tally, and makes no labelled pair. A vote on the first turn does.")] : asked;
}

const said = (battle) => battle.message[battle.message.length - 1].text;

function uuid() {
  const key = newKey();
  return key.includes("-") ? key : key.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}
