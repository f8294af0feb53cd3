// A prompt and two responses side by side, A left and B right, for whoever judges them. Nothing tells where they come from.
// Drawn anew for every pair in a few milliseconds; listens to nothing but scrolling and its own switches.

import { diff } from "./diff.js";
import { button, fill, h, html } from "./dom.js";

const ROLES = { system: "System", user: "Person", assistant: "Assistant", tool: "Tool" };
const TURNS_SHOWN = 1; // the last turn is always there, the ones before unfold

// One message: {role, html, text, reasoning, tool_calls}.
const message = (one) => [
  one.reasoning && h("details.pl-pair-extra", h("summary", "Reasoning"), h("div.pl-prose.pl-plain", one.reasoning)),
  html(one.html),
  one.tool_calls && h("details.pl-pair-extra", { open: true }, h("summary", "Tool calls"), h("pre.pl-mono", one.tool_calls)),
];

const turn = (one) => h("div.pl-turn", { class: one.role }, h("span.pl-turn-role", ROLES[one.role] || one.role), h("div", message(one)));

export class PairView {
  constructor() {
    this.prompt = h("section.pl-pair-prompt", { "aria-label": "Prompt" });
    this.sides = ["A", "B"].map((name) => this.side(name));
    this.element = h("div.pl-pair", this.prompt, h("div.pl-pair-sides", this.sides.map((side) => side.element)));
    this.marking = false;
    this.open = false;
    this.shown = null;
    this.together();
  }

  side(name) {
    const body = h("div.pl-pair-body", { tabindex: "0", role: "region", "aria-label": `Response ${name}` });
    const tick = h("span.pl-pair-tick", { "aria-hidden": "true" }, "✓");
    const more = button("Show all of both", () => this.unfold(true), { kind: "small quiet" });
    const head = h("h2.pl-pair-head", h("span.pl-pair-name", name), tick);
    const element = h("article.pl-pair-side", { "aria-label": `Response ${name}` }, head, body, h("div.pl-pair-more", more));
    return { name, element, body };
  }

  // Both sides scroll together, each by its own length.
  together() {
    let leader = null;
    let settle = null;
    for (const side of this.sides) {
      side.body.addEventListener("scroll", () => {
        if (leader && leader !== side) return;
        leader = side;
        clearTimeout(settle);
        settle = setTimeout(() => { leader = null; }, 120);
        const share = side.body.scrollTop / Math.max(1, side.body.scrollHeight - side.body.clientHeight);
        for (const other of this.sides) {
          if (other !== side) other.body.scrollTop = share * (other.body.scrollHeight - other.body.clientHeight);
        }
      }, { passive: true });
    }
  }

  // Draw a pair: {prompt: [message], left: message, right: message}; both sides begin at the top, equally folded.
  show(pair) {
    this.shown = pair;
    this.open = false;
    this.choose(null);
    this.drawPrompt(pair.prompt);
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
    fill(this.prompt, earlier || null, last.map(turn));
    this.prompt.scrollTop = 0;
  }

  // False when the texts are too long for marks and stand unmarked.
  drawSides() {
    const { left, right } = this.shown;
    const words = this.marking ? diff(left.text, right.text) : null;
    [left, right].forEach((one, index) => {
      const { body } = this.sides[index];
      fill(body, words ? this.marked(words[index ? "right" : "left"]) : message(one));
    });
    this.fold();
    return !this.marking || words !== null;
  }

  marked(parts) {
    return h("div.pl-prose.pl-plain", parts.map(({ text, same }) => (same ? text : h("mark.pl-diff", text))));
  }

  // Marks on or off; false when the texts are too long for them.
  mark(on) {
    this.marking = on;
    return this.shown ? this.drawSides() : true;
  }

  // Where the sides stand below each other, a long one folds, and the other at the same height.
  fold() {
    this.element.classList.toggle("open", this.open);
    const long = !this.open && this.sides.some(({ body }) => body.scrollHeight > body.clientHeight + 2);
    this.element.classList.toggle("folded", long);
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

  // Tick and border on the side that is better: "A", "B", "both" (bad), "tie" or null.
  choose(which) {
    for (const { name, element } of this.sides) {
      element.classList.toggle("chosen", which === name);
      element.classList.toggle("rejected", which === "both");
    }
    this.element.classList.toggle("tie", which === "tie");
  }
}

// What a value in shown order says, in words, and the side that it marks.
const DEGREES = ["", "slightly better", "better", "much better"];
export function describe(value) {
  if (value.both_bad) return { words: "Both bad", side: "both" };
  if ("skip" in value) return { words: "Skipped", side: null };
  if (value.strength === 0) return { words: "Tie", side: "tie" };
  const side = value.strength > 0 ? "A" : "B";
  return { words: `${side} ${DEGREES[Math.abs(value.strength)]}`, side };
}
