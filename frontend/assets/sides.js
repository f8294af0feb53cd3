// A prompt and its responses side by side, A first, for whoever judges them. Nothing tells where they come from.
// Drawn anew for every item in a few milliseconds; listens to nothing but scrolling and its own switches.

import { markDifferences } from "./diff.js";
import { button, fill, h } from "./dom.js";
import { message, turn } from "./message.js";

const TURNS_SHOWN = 1; // the last turn is always there, the ones before unfold

export const letter = (place) => String.fromCharCode(65 + (place % 26)) + (place >= 26 ? Math.floor(place / 26) : "");

export class SidesView {
  constructor() {
    this.prompt = h("section.pl-pair-prompt", { "aria-label": "Prompt" });
    this.row = h("div.pl-pair-sides");
    this.element = h("div.pl-pair", this.prompt, this.row);
    this.marking = false;
    this.open = false;
    this.shown = null;
    this.sides = [];
    this.have(2);
  }

  have(n) {
    if (this.sides.length === n) return;
    this.sides = Array.from({ length: n }, (_, place) => this.side(letter(place), n));
    this.row.style.setProperty("--pl-sides", n < 4 ? n : n === 4 ? 2 : 3); // columns
    this.row.classList.toggle("many", n > 3);
    fill(this.row, this.sides.map((side) => side.element));
    this.together();
  }

  side(name, n) {
    const called = n === 1 ? "Response" : `Response ${name}`;
    const body = h("div.pl-pair-body", { tabindex: "0", role: "region", "aria-label": called });
    const tick = h("span.pl-pair-tick", { "aria-hidden": "true" });
    const place = h("span.pl-pair-place", { hidden: true });
    const more = h("div.pl-pair-more", { hidden: true }, button(n === 1 ? "Show all of it" : n === 2 ? "Show all of both" : "Show all of each", () => this.unfold(true), { kind: "small quiet" }));
    const head = h("h2.pl-pair-head", h("span.pl-pair-name", n === 1 ? "Response" : name), place, tick);
    const element = h("article.pl-pair-side", { "aria-label": called }, head, body, more);
    return { name, element, body, more, tick, place };
  }

  // All sides scroll together, each by its own length; where one shows its reasoning, all do.
  together() {
    let leader = null;
    let settle = null;
    for (const side of this.sides) {
      const others = this.sides.filter((one) => one !== side);
      side.body.addEventListener("scroll", () => {
        if (leader && leader !== side) return;
        leader = side;
        clearTimeout(settle);
        settle = setTimeout(() => { leader = null; }, 120);
        const share = side.body.scrollTop / Math.max(1, side.body.scrollHeight - side.body.clientHeight);
        for (const { body } of others) body.scrollTop = share * (body.scrollHeight - body.clientHeight);
      }, { passive: true });
      side.body.addEventListener("click", (event) => {
        const summary = event.target.closest(".pl-reasoning > summary");
        if (!summary) return;
        event.preventDefault();
        this.reason(!summary.parentNode.open);
      });
    }
  }

  // Draw {prompt: [message], responses: [message]}; all sides begin at the top, equally folded. False: see drawSides.
  show(card) {
    this.shown = card;
    this.open = false;
    this.have(card.responses.length);
    this.choose(null);
    this.drawPrompt(card.prompt);
    const marked = this.drawSides();
    for (const side of this.sides) side.body.scrollTop = 0;
    return marked;
  }

  drawPrompt(turns) {
    const [early, last] = [turns.slice(0, -TURNS_SHOWN), turns.slice(-TURNS_SHOWN)];
    const earlier = early.length && h(
      "details.pl-pair-earlier",
      h("summary", `${early.length} earlier ${early.length === 1 ? "turn" : "turns"}`),
      early.map(turn),
    );
    this.element.classList.remove("prompt-open");
    fill(this.prompt, earlier || null, last.map(turn));
    this.prompt.scrollTop = 0;
  }

  // False when the texts are too long for marks and stand unmarked.
  drawSides() {
    this.shown.responses.forEach((one, place) => fill(this.sides[place].body, message(one)));
    const marked = !this.marking || this.sides.length !== 2 || markDifferences(this.sides[0].body, this.sides[1].body);
    this.fold();
    return marked;
  }

  // Marks on or off; false when the texts are too long for them.
  mark(on) {
    this.marking = on;
    return this.shown ? this.drawSides() : true;
  }

  // Where the sides stand below each other, a long one folds, and the others at the same height.
  fold() {
    this.element.classList.toggle("open", this.open);
    const cut = this.sides.map(({ body }) => !this.open && body.scrollHeight > body.clientHeight + 2);
    this.sides.forEach(({ more }, place) => { more.hidden = !cut[place]; });
    this.element.classList.toggle("folded", cut.includes(true));
  }

  unfold(open) {
    this.open = open;
    this.fold();
  }

  togglePrompt() {
    const earlier = this.prompt.querySelector(".pl-pair-earlier");
    if (earlier) earlier.open = !earlier.open;
    else this.element.classList.toggle("prompt-open");
  }

  // Whether the reasoning of the responses is open; equally for all. Without a word: the other way round.
  reason(open = null) {
    const all = [...this.row.querySelectorAll(".pl-reasoning")];
    const whether = open ?? !all.some((one) => one.open);
    for (const one of all) one.open = whether;
    this.fold();
    return all.length > 0;
  }

  // Tick and border on what was chosen: a letter, "both" (bad), "good", "bad", "tie" or null.
  choose(which) {
    for (const { name, element, tick } of this.sides) {
      const [chosen, rejected] = [which === name || which === "good", which === "both" || which === "bad"];
      element.classList.toggle("chosen", chosen);
      element.classList.toggle("rejected", rejected);
      tick.textContent = chosen ? "✓" : rejected ? "✕" : "";
    }
    this.element.classList.toggle("tie", which === "tie");
  }

  // The place of each side in a ranking, in words; null where it has none yet.
  places(words) {
    this.sides.forEach(({ element, place }, index) => {
      place.hidden = !words || !words[index];
      place.textContent = (words && words[index]) || "";
      element.classList.toggle("placed", !place.hidden);
    });
  }
}
