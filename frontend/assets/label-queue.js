// The cards at hand and the answers on their way, without any drawing: prefetch, send, send again, undo.

import { connection, get, newKey, post } from "./api.js";
import { History } from "./label-history.js";
import { Leases } from "./label-leases.js";
import { forget, keep, kept, refuse } from "./label-outbox.js";

export const AT_HAND = 5; // cards in the browser, the shown one included
const BUSY_SECONDS = 5; // ask again when others hold all that is left
const RECOUNT_MINUTES = 1;
const LONGEST_PAUSE = 60; // seconds between two attempts while the server fails
const PATIENCE = 3; // failures in a row, some seconds, before the person is told
const again = (error) => error.status === 0 || error.status === 429 || error.status >= 500;
const OVER = ["TaskClosed", "DeadlinePassed"]; // no card of the task is worth anything any more
const over = (error) => OVER.some((name) => error.problem?.type === `/problems/${name}`);

// Events: "change" (cards, progress or waiting answers are different), "refused" (an answer will never be taken),
// "surplus" (an answer was kept, though enough others had answered), "lost" (the shown card went to somebody else),
// "withdrawn" (the shown card's item needs no answer any more),
// "over" (detail: why the task takes no more answers), "error" (detail: what stands in the way of more cards).
export class LabelQueue extends EventTarget {
  // `task` as the API tells it; `held`: cards that were leased already, and the progress that came with them.
  constructor(task, held) {
    super();
    this.task = task;
    this.cards = held.cards;
    this.progress = held.progress;
    this.waiting = kept(); // answers that are not confirmed
    this.loaded = held.progress !== null;
    this.ended = null; // why the task takes no more answers
    this.filling = null;
    this.sending = null;
    this.failures = 0; // attempts in a row to save an answer that the server could not follow
    this.pauses = 0; // attempts in a row to get cards that it could not
    this.wake = null; // ends the pause before the next attempt
    this.writes = 0; // labels and undos that the server has confirmed
    this.history = new History(task.id, this.pending);
    this.leases = new Leases(task.id, () => this.cards, (lost, withdrawn) => this.without(lost, withdrawn));
  }

  start() {
    this.send();
    this.fill();
    this.leases.start();
    setInterval(() => document.hidden || this.recount(), RECOUNT_MINUTES * 60_000);
    connection.addEventListener("back", () => {
      this.send();
      this.fill();
    });
  }

  get card() {
    return this.cards[0] || null;
  }

  get unsent() {
    return this.waiting.length;
  }

  // Whether the server has been failing to save answers for a while.
  get stuck() {
    return this.failures >= PATIENCE && this.waiting.length > 0;
  }

  // Send what waits now, not after the pause.
  hurry() {
    this.wake?.();
  }

  // Nothing left that this person can judge, and nothing on its way.
  get finished() {
    return this.loaded && !this.cards.length && !this.filling && this.progress && this.left === 0;
  }

  get left() {
    return this.progress ? Math.max(0, this.progress.left - this.pending.length) : 0;
  }

  get pending() {
    return this.waiting.filter((answer) => answer.task === this.task.id);
  }

  // The server's numbers with the answers on their way; where more than one label is wanted, an answer ends no item.
  get shown() {
    if (!this.progress) return null;
    const judged = this.pending.filter((answer) => !("skip" in answer.value)).length;
    const { total, labelled, by_you: byYou, today } = this.progress;
    const done = this.task.overlap === 1 ? judged : 0;
    return { total, labelled: Math.min(total, labelled + done), byYou: byYou + judged, today: today + judged, left: this.left };
  }

  changed() {
    this.dispatchEvent(new Event("change"));
  }

  tell(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }

  // Judge the shown card: `said` is {value, aspects, rationale, edit}. The next one is at hand before this returns.
  answer(said, seconds) {
    const card = this.cards.shift();
    const made = Math.max(Date.now(), (this.waiting.at(-1)?.made || 0) + 1); // their order, also when the clock is set back
    const answer = { ...said, client_id: newKey(), item_id: card.item_id, lease: card.lease, task: this.task.id, seconds, made };
    this.leases.touch();
    this.waiting.push(answer);
    this.history.add(answer);
    keep(answer);
    this.changed();
    // Every answer brings a card back; asking for more beside it would mix up their order, so that waits.
    this.send();
    if (!this.cards.length) this.fill();
  }

  holding() {
    return [...new Set([...this.cards, ...this.waiting].map((one) => one.item_id))].slice(-1000);
  }

  // Have AT_HAND cards; leases are made by asking.
  fill() {
    if (this.filling) return this.filling;
    const n = AT_HAND - this.cards.length;
    const more = !this.progress || this.left > this.cards.length; // else the rest is here already
    if (n <= 0 || !more || this.ended) return Promise.resolve();
    this.filling = this.ask(n).finally(() => {
      this.filling = null;
      this.changed();
      if (!this.cards.length && this.loaded && this.progress && this.left > 0) this.later(() => this.fill(), BUSY_SECONDS);
    });
    return this.filling;
  }

  async ask(n) {
    try {
      const { cards } = await this.counted(() => post(`/tasks/${this.task.id}/cards`, { n, holding: this.holding() }));
      this.loaded = true;
      this.pauses = 0;
      cards.forEach((card) => this.add(card));
    } catch (error) {
      if (error.status === 0) return; // "back" asks again
      if (over(error)) return void this.end(error);
      this.pauses += 1;
      if (again(error)) this.later(() => this.fill(), Math.max(BUSY_SECONDS, pause(this.pauses)));
      if (this.pauses === 1 || !this.card) this.tell("error", error); // once; the card at hand can be answered meanwhile
    }
  }

  end(error) {
    this.ended = error;
    this.cards = [];
    this.tell("over", error);
    this.changed();
  }

  // What `ask` gets, its progress taken over: unless it was counted beside a label on its way, and may be older.
  async counted(ask) {
    const [before, busy] = [this.writes, this.sending !== null];
    const answer = await ask();
    if (!this.progress || (before === this.writes && !busy)) this.progress = answer.progress;
    return answer;
  }

  // Others label too: count anew now and then.
  recount() {
    const ask = async () => {
      const { progress } = await get(`/tasks/${this.task.id}`);
      return { progress: { ...this.progress, ...progress, labelled: progress.done } };
    };
    return this.counted(ask).then(() => this.changed(), () => null); // the old numbers will do
  }

  add(card) {
    if (!card || this.ended || this.holding().includes(card.item_id)) return;
    const [shown, ...others] = this.cards;
    others.push(card);
    others.sort((one, other) => one.position - other.position);
    this.cards = shown ? [shown, ...others] : others;
  }

  // Send what waits, oldest first, one at a time; what cannot be sent now stays for later.
  send() {
    this.sending ??= this.drain().finally(() => {
      this.sending = null;
      this.changed();
      if (connection.online) this.fill();
    });
    return this.sending;
  }

  async drain() {
    while (this.waiting.length) {
      const answer = this.waiting[0];
      try {
        this.confirmed(answer, await this.deliver(answer));
        this.failures = 0;
      } catch (error) {
        if (error.status === 0) return; // no connection: "back" starts again
        if (error.status === 401 || error.outside) return; // the page is being left; the browser keeps the answers
        if (again(error)) await this.rest();
        else this.refused(answer, error);
      }
    }
  }

  // A pause that grows; one answer that the server cannot take holds up no others, which go first from then on.
  async rest() {
    this.failures += 1;
    if (this.failures >= PATIENCE) this.waiting.push(this.waiting.shift());
    this.changed();
    await new Promise((resolve) => {
      this.wake = resolve;
      setTimeout(resolve, pause(this.failures) * 1000);
    });
  }

  deliver({ client_id, item_id, lease, value, aspects = null, rationale = null, edit = null, seconds }) {
    const body = { client_id, lease, value, aspects, rationale, edit, seconds, holding: this.holding() };
    return post(`/items/${item_id}/labels`, body);
  }

  confirmed(answer, { label, next, progress, late }) {
    this.drop(answer);
    this.history.confirm(answer, label.id);
    this.writes += 1;
    if (late) this.tell("surplus");
    if (answer.task === this.task.id) {
      this.progress = progress || this.after(answer);
      if (this.cards.length < AT_HAND) this.add(next);
    }
    this.changed();
  }

  // The numbers with one more answer of this person.
  after({ value }) {
    if (!this.progress) return null;
    const { labelled, by_you: byYou, today, left, skipped } = this.progress;
    const rest = { ...this.progress, left: Math.max(0, left - 1) };
    if ("skip" in value) return { ...rest, skipped: skipped + 1 };
    return { ...rest, labelled: labelled + (this.task.overlap === 1 ? 1 : 0), by_you: byYou + 1, today: today + 1 };
  }

  refused(answer, error) {
    this.drop(answer);
    this.history.remove(answer.client_id);
    refuse(answer, error);
    if (over(error) && answer.task === this.task.id) this.end(error);
    this.tell("refused");
    this.changed();
  }

  drop(answer) {
    this.waiting = this.waiting.filter((one) => one !== answer);
    forget(answer.client_id);
  }

  // Take back the last answer: its card is the shown one again. Resolves to {card, …what was said}, null without one;
  // `card` is null when others have it by now.
  async undo() {
    const entry = this.history.last;
    if (!entry) return null;
    this.leases.touch();
    if (entry.label === null) await this.send();
    if (entry.label === null) throw new Unsent();
    const { card, progress } = await post(`/labels/${entry.label}/undo`, {});
    this.history.remove(entry.client_id);
    this.writes += 1;
    this.progress = progress;
    this.cards = this.cards.filter((one) => one.item_id !== card?.item_id);
    if (card) this.cards.unshift(card);
    else this.fill();
    this.changed();
    return { ...entry, card };
  }

  // All at once: a card that is lost too must not be shown, even for a moment, as the next one.
  without(lost, withdrawn) {
    if (lost.size + withdrawn.size) {
      if (lost.has(this.card)) this.tell("lost");
      if (withdrawn.has(this.card)) this.tell("withdrawn");
      this.cards = this.cards.filter((one) => !lost.has(one) && !withdrawn.has(one));
      this.changed();
    }
    this.fill();
  }

  later(run, seconds) {
    setTimeout(run, seconds * 1000);
  }
}

// Not all browsers at once: a server that comes back would fall again.
const pause = (failures) => Math.min(LONGEST_PAUSE, 2 ** (failures - 1)) * (0.75 + Math.random() / 2);

export class Unsent extends Error {}
