// The pairs at hand and the answers on their way, without any drawing: prefetch, send, send again, undo, keep leases.

import { connection, del, get, newKey, post } from "./api.js";
import { forget, keep, kept } from "./label-outbox.js";

const AT_HAND = 5; // cards in the browser, the shown one included
const RENEW_MINUTES = 4;
const IDLE_MINUTES = 15; // leases of somebody who went away are not renewed
const BUSY_SECONDS = 5; // ask again when others hold all that is left
const REMEMBERED = 50;
const RECOUNT_MINUTES = 1;
const headers = () => ({ "X-UTC-Offset": String(-new Date().getTimezoneOffset()) });
const again = (error) => error.status === 0 || error.status === 429 || error.status >= 500;

// Events: "change" (cards, progress or waiting answers are different), "refused" (detail: an answer and why),
// "lost" (the shown pair went to somebody else), "error" (detail: what stands in the way of more cards).
export class LabelQueue extends EventTarget {
  constructor(dataset) {
    super();
    this.dataset = dataset;
    this.cards = [];
    this.progress = null;
    this.waiting = kept(); // answers that are not confirmed
    this.loaded = false;
    this.filling = null;
    this.sending = null;
    this.writes = 0; // labels and undos that the server has confirmed
    this.touched = Date.now();
    this.history = [...this.readHistory(), ...this.pending.map(({ client_id, value }) => ({ client_id, label: null, value }))];
    this.timers = [];
  }

  start() {
    this.send();
    this.fill();
    this.timers.push(setInterval(() => this.renew(), RENEW_MINUTES * 60_000));
    this.timers.push(setInterval(() => document.hidden || this.recount(), RECOUNT_MINUTES * 60_000));
    this.onback = () => {
      this.send();
      this.fill();
    };
    connection.addEventListener("back", this.onback);
    this.onhide = () => this.release();
    addEventListener("pagehide", this.onhide);
    this.onlook = () => document.hidden || Date.now() - this.touched < RENEW_MINUTES * 60_000 || this.renew(true);
    document.addEventListener("visibilitychange", this.onlook);
  }

  get card() {
    return this.cards[0] || null;
  }

  get unsent() {
    return this.waiting.length;
  }

  // Nothing left that this person can judge, and nothing on its way.
  get finished() {
    return this.loaded && !this.cards.length && !this.filling && this.progress && this.left === 0;
  }

  get left() {
    return Math.max(0, this.progress.left - this.pending.length);
  }

  get pending() {
    return this.waiting.filter((answer) => answer.dataset === this.dataset);
  }

  // The server's numbers with the answers on their way.
  get shown() {
    if (!this.progress) return null;
    const judged = this.pending.filter((answer) => !("skip" in answer.value)).length;
    const { total, labelled, by_you: byYou, today } = this.progress;
    return { total, labelled: Math.min(total, labelled + judged), byYou: byYou + judged, today: today + judged };
  }

  changed() {
    this.dispatchEvent(new Event("change"));
  }

  tell(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }

  // Judge the shown card; the next one is at hand before this returns.
  answer(value, seconds) {
    const card = this.cards.shift();
    const answer = {
      client_id: newKey(), item_id: card.item_id, lease: card.lease, dataset: this.dataset, value, seconds, made: Date.now(),
    };
    this.touched = Date.now();
    this.waiting.push(answer);
    this.history.push({ client_id: answer.client_id, label: null, value });
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
    if (n <= 0 || !more) return Promise.resolve();
    this.filling = this.ask(n).finally(() => {
      this.filling = null;
      this.changed();
      if (!this.cards.length && this.loaded && this.progress && this.left > 0) this.later(() => this.fill(), BUSY_SECONDS);
    });
    return this.filling;
  }

  async ask(n) {
    try {
      const body = { n, holding: this.holding() };
      const { cards } = await this.counted(() => post(`/datasets/${this.dataset}/cards`, body, { headers: headers() }));
      this.loaded = true;
      cards.forEach((card) => this.add(card));
    } catch (error) {
      if (error.status === 0) return; // "back" asks again
      if (again(error)) this.later(() => this.fill(), BUSY_SECONDS);
      this.tell("error", error);
    }
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
    const ask = async () => (await get("/progress", { dataset_id: this.dataset }, { headers: headers() })).items[0];
    return this.counted(ask).then(() => this.changed(), () => null); // the old numbers will do
  }

  add(card) {
    if (!card || this.holding().includes(card.item_id)) return;
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
    let pause = 1;
    while (this.waiting.length) {
      const answer = this.waiting[0];
      try {
        this.confirmed(answer, await this.deliver(answer));
        pause = 1;
      } catch (error) {
        if (error.status === 0) return; // no connection: "back" starts again
        if (error.status === 401 || error.outside) return; // the page is being left; the browser keeps the answers
        if (again(error)) {
          await new Promise((resolve) => setTimeout(resolve, pause * 1000));
          pause = Math.min(30, pause * 2);
        } else this.refused(answer, error);
      }
    }
  }

  deliver({ client_id, item_id, lease, value, seconds }) {
    const body = { client_id, lease, value, seconds, holding: this.holding() };
    return post(`/items/${item_id}/labels`, body, { headers: headers() });
  }

  confirmed(answer, { label, next, progress }) {
    this.drop(answer);
    const entry = this.history.find((one) => one.client_id === answer.client_id);
    if (entry) entry.label = label.id;
    this.saveHistory();
    this.writes += 1;
    if (answer.dataset === this.dataset) {
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
    return { ...rest, labelled: labelled + 1, by_you: byYou + 1, today: today + 1 };
  }

  refused(answer, error) {
    this.drop(answer);
    this.history = this.history.filter((one) => one.client_id !== answer.client_id);
    this.tell("refused", { answer, error });
    this.changed();
  }

  drop(answer) {
    this.waiting = this.waiting.filter((one) => one !== answer);
    forget(answer.client_id);
  }

  // Take back the last answer: its card is the shown one again. Resolves to what was answered, null if there is nothing.
  async undo() {
    const entry = this.history[this.history.length - 1];
    if (!entry) return null;
    this.touched = Date.now();
    if (entry.label === null) await this.send();
    if (entry.label === null) throw new Unsent();
    const { card, progress } = await post(`/labels/${entry.label}/undo`, {}, { headers: headers() });
    this.history = this.history.filter((one) => one !== entry);
    this.saveHistory();
    this.writes += 1;
    this.progress = progress;
    this.cards = [card, ...this.cards.filter((one) => one.item_id !== card.item_id)];
    this.changed();
    return { card, value: entry.value };
  }

  // Keep the pairs at hand, unless the person went away; give up those that went to somebody else.
  async renew(returned = false) {
    if (!returned && (document.hidden || Date.now() - this.touched > IDLE_MINUTES * 60_000)) return;
    if (returned) this.touched = Date.now();
    const lost = new Set();
    for (const card of [...this.cards]) {
      try {
        await post(`/leases/${card.lease}/renew`, {});
      } catch (error) {
        if (error.status !== 409 && error.status !== 404) break;
        lost.add(card);
      }
    }
    // All at once: a card that is lost too must not be shown, even for a moment, as the next one.
    if (lost.size) {
      if (lost.has(this.card)) this.tell("lost");
      this.cards = this.cards.filter((one) => !lost.has(one));
      this.changed();
    }
    this.fill();
  }

  release() {
    for (const card of this.cards) del(`/leases/${card.lease}`, { quiet: true, keepalive: true }).catch(() => null);
  }

  later(run, seconds) {
    this.timers.push(setTimeout(run, seconds * 1000));
  }

  readHistory() {
    try {
      return JSON.parse(sessionStorage.getItem(`pl-labels-${this.dataset}`) || "[]");
    } catch {
      return [];
    }
  }

  saveHistory() {
    this.history = this.history.slice(-REMEMBERED);
    try {
      const sent = this.history.filter((entry) => entry.label !== null);
      sessionStorage.setItem(`pl-labels-${this.dataset}`, JSON.stringify(sent));
    } catch {
      // Storage is off: undo reaches back to the last reload.
    }
  }
}

export class Unsent extends Error {}
