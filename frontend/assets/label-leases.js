// Keeping the cards at hand while somebody is at the page, hearing of those that are withdrawn, and giving them back when
// they leave.

import { del, get, post } from "./api.js";
import { live } from "./live.js";

const RENEW_MINUTES = 4;
const IDLE_MINUTES = 15; // leases of somebody who went away are not renewed

export class Leases {
  // `cards()` gives what is held of the task; `onlost(cards, withdrawn)` takes away what somebody else has now, or nobody.
  constructor(task, cards, onlost) {
    this.task = task;
    this.cards = cards;
    this.onlost = onlost;
    this.touched = Date.now();
  }

  start() {
    setInterval(() => this.renew(), RENEW_MINUTES * 60_000);
    live((signal) => this.look(signal), { seconds: 3, slowest: 6 });
    addEventListener("pagehide", () => this.release());
    document.addEventListener("visibilitychange", () => document.hidden || Date.now() - this.touched < RENEW_MINUTES * 60_000 || this.renew(true));
  }

  touch() {
    this.touched = Date.now();
  }

  async renew(returned = false) {
    if (!returned && (document.hidden || Date.now() - this.touched > IDLE_MINUTES * 60_000)) return;
    if (returned) this.touch();
    const [lost, withdrawn] = [new Set(), new Set()];
    for (const card of [...this.cards()]) {
      try {
        await post(`/leases/${card.lease}/renew`, {});
      } catch (error) {
        if (![403, 404, 409].includes(error.status)) break;
        (error.problem?.type === "/problems/Withdrawn" ? withdrawn : lost).add(card);
      }
    }
    this.onlost(lost, withdrawn);
  }

  async look(signal) {
    if (!this.cards().length) return;
    const { items } = await get(`/tasks/${this.task}/withdrawn`, {}, { signal });
    const gone = new Set(items.map((one) => one.item_id));
    const withdrawn = this.cards().filter((card) => gone.has(card.item_id));
    if (withdrawn.length) this.onlost(new Set(), new Set(withdrawn));
  }

  release() {
    for (const card of this.cards()) del(`/leases/${card.lease}`, { quiet: true, keepalive: true }).catch(() => null);
  }
}
