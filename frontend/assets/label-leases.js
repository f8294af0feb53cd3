// Keeping the cards at hand while somebody is at the page, and giving them back when they leave.

import { del, post } from "./api.js";

const RENEW_MINUTES = 4;
const IDLE_MINUTES = 15; // leases of somebody who went away are not renewed

export class Leases {
  // `cards()` gives what is held; `onlost(set)` takes away what somebody else has now.
  constructor(cards, onlost) {
    this.cards = cards;
    this.onlost = onlost;
    this.touched = Date.now();
  }

  start() {
    setInterval(() => this.renew(), RENEW_MINUTES * 60_000);
    addEventListener("pagehide", () => this.release());
    document.addEventListener("visibilitychange", () => document.hidden || Date.now() - this.touched < RENEW_MINUTES * 60_000 || this.renew(true));
  }

  touch() {
    this.touched = Date.now();
  }

  async renew(returned = false) {
    if (!returned && (document.hidden || Date.now() - this.touched > IDLE_MINUTES * 60_000)) return;
    if (returned) this.touch();
    const lost = new Set();
    for (const card of [...this.cards()]) {
      try {
        await post(`/leases/${card.lease}/renew`, {});
      } catch (error) {
        if (![403, 404, 409].includes(error.status)) break;
        lost.add(card);
      }
    }
    this.onlost(lost);
  }

  release() {
    for (const card of this.cards()) del(`/leases/${card.lease}`, { quiet: true, keepalive: true }).catch(() => null);
  }
}
