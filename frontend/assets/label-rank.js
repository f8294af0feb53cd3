// Ranking of several responses: by keys in the order of places, by arrows on a chosen one, or by drag. Ties are possible.

import { fill, h } from "./dom.js";
import { hint } from "./keys.js";
import { nth } from "./label-words.js";
import { letter } from "./sides.js";

export const PLACE_KEYS = ["1", "2", "3", "4", "5", "6", "7", "8", "9", "0"];
const FAR = 6; // pixels from which on a press is a drag

// `onchange(groups)` hears of every step, `ondone()` when Enter is pressed on a whole ranking. A group is one place: [[1], [0, 2]] is B first, A and C second.
export class Ranking {
  constructor(onchange, ondone) {
    this.onchange = onchange;
    this.ondone = ondone;
    this.element = h("div.pl-rank", { role: "group", "aria-label": "Ranking, best first" });
    this.groups = [];
    this.n = 0;
    this.tying = false; // the next one shares the last place
  }

  show(n, groups = []) {
    this.n = n;
    this.groups = groups.map((group) => [...group]);
    this.tying = false;
    this.draw();
  }

  get placed() {
    return this.groups.flat();
  }

  get complete() {
    return this.placed.length === this.n;
  }

  // All places; the only one left comes last by itself.
  get whole() {
    const rest = this.left();
    return rest.length === 1 ? [...this.groups, rest] : this.groups;
  }

  left() {
    const placed = new Set(this.placed);
    return Array.from({ length: this.n }, (_, one) => one).filter((one) => !placed.has(one));
  }

  // The next place to `one`, or the last place with those that have it; a second time takes it out again.
  place(one) {
    if (one >= this.n) return;
    if (this.placed.includes(one)) this.without(one);
    else if (this.tying && this.groups.length) this.groups[this.groups.length - 1].push(one);
    else this.groups.push([one]);
    this.tying = false;
    this.changed();
  }

  tie() {
    if (!this.groups.length || this.complete) return;
    this.tying = !this.tying;
    this.draw();
  }

  back() {
    const last = this.groups[this.groups.length - 1];
    if (!last) return;
    this.without(last[last.length - 1]);
    this.changed();
  }

  without(one) {
    this.groups = this.groups.map((group) => group.filter((other) => other !== one)).filter((group) => group.length);
  }

  // One step towards the front (-1) or the end (1): into a neighbor's place, then before or behind it.
  step(one, by) {
    const at = this.groups.findIndex((group) => group.includes(one));
    if (at < 0) return void (by < 0 && this.place(one));
    const alone = this.groups[at].length === 1;
    const next = at + by;
    if (alone && !this.groups[next]) return;
    if (alone) {
      this.groups[next].push(one);
      this.groups.splice(at, 1);
    } else {
      this.groups[at] = this.groups[at].filter((other) => other !== one);
      this.groups.splice(by < 0 ? at : at + 1, 0, [one]);
    }
    this.changed();
    this.chip(one)?.focus();
  }

  // Dropped on a place: tied with who has it; between two: a place of its own; off the strip: no place.
  drop(one, target) {
    const [kind, at] = (target || "out").split(":");
    const there = this.groups[Number(at)] || [];
    if (there.includes(one) && (kind === "place" || there.length === 1)) return this.draw(); // where it was
    this.without(one);
    // Places may have moved up: the one that is meant is where one of those stands who had it.
    const mate = there.find((other) => other !== one);
    const found = mate === undefined ? this.groups.length : this.groups.findIndex((group) => group.includes(mate));
    if (kind === "place") this.groups[found].push(one);
    else if (kind === "gap") this.groups.splice(found, 0, [one]);
    return this.changed();
  }

  changed() {
    this.draw();
    this.onchange(this.groups);
  }

  draw() {
    const places = this.groups.map((group, index) => [
      this.gap(index),
      h("div.pl-rank-place", { dataset: { drop: `place:${index}` } }, h("span.pl-rank-nth", nth(index + 1)), group.map((one) => this.drawChip(one, nth(index + 1)))),
    ]);
    const rest = this.left();
    const waiting = h("div.pl-rank-rest", { dataset: { drop: "out" } },
      h("span.pl-rank-nth", rest.length ? (this.tying ? "Tied with the last:" : this.groups.length ? "Then:" : "Best first:") : "All placed"),
      rest.map((one) => this.drawChip(one, null)));
    fill(this.element, places, this.gap(this.groups.length), waiting);
  }

  gap(index) {
    return h("div.pl-rank-gap", { dataset: { drop: `gap:${index}` }, "aria-hidden": "true" }, index ? "›" : "");
  }

  drawChip(one, place) {
    const label = `${letter(one)}, ${place ? `${place} place` : "not placed"}`;
    const key = PLACE_KEYS[one] ? hint(`label-place-${one + 1}`) : null;
    const chip = h("button.pl-rank-chip", { type: "button", "aria-label": label, dataset: { one } }, h("span", letter(one)), key);
    chip.addEventListener("keydown", (event) => {
      const by = { ArrowLeft: -1, ArrowUp: -1, ArrowRight: 1, ArrowDown: 1 }[event.key];
      if (event.key === "Enter" && this.whole.flat().length === this.n) {
        event.preventDefault();
        event.stopPropagation();
        return void this.ondone();
      }
      if (!by) return;
      event.preventDefault();
      event.stopPropagation();
      this.step(one, by);
    });
    chip.addEventListener("click", () => chip.dragged || this.place(one));
    chip.addEventListener("pointerdown", (event) => event.button === 0 && this.drag(chip, one, event));
    return chip;
  }

  chip(one) {
    return this.element.querySelector(`[data-one="${one}"]`);
  }

  drag(chip, one, { clientX: x, clientY: y, pointerId }) {
    const under = (event) => document
      .elementsFromPoint(event.clientX, event.clientY)
      .filter((found) => !chip.contains(found) && this.element.contains(found))
      .map((found) => found.closest("[data-drop]"))
      .find(Boolean);
    const mark = (target) => {
      for (const found of this.element.querySelectorAll(".over")) found.classList.remove("over");
      if (target) target.classList.add("over");
    };
    const move = (event) => {
      if (!chip.dragged && Math.hypot(event.clientX - x, event.clientY - y) < FAR) return;
      chip.dragged = true;
      chip.classList.add("dragged");
      chip.style.translate = `${event.clientX - x}px ${event.clientY - y}px`;
      mark(under(event));
    };
    const end = (event) => {
      chip.removeEventListener("pointermove", move);
      chip.removeEventListener("pointerup", end);
      chip.removeEventListener("pointercancel", end);
      if (!chip.dragged) return;
      const target = under(event);
      mark(null);
      if (event.type === "pointercancel") this.draw();
      else setTimeout(() => this.drop(one, target && target.dataset.drop)); // behind the click that follows
    };
    chip.setPointerCapture(pointerId);
    chip.addEventListener("pointermove", move);
    chip.addEventListener("pointerup", end);
    chip.addEventListener("pointercancel", end);
  }
}
