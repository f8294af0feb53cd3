// The buttons under a pair, from "A much better" to "B much better", and the keys that do the same.

import { button, h } from "./dom.js";
import { hint } from "./keys.js";

// action, key, value, what it says, what its button shows
export const SCALE = [
  ["much-left", "1", 3, "A is much better", "Much better"],
  ["left", "2", 2, "A is better", "Better"],
  ["slightly-left", "3", 1, "A is slightly better", "Slightly"],
  ["tie", "4", 0, "Tie", "Tie"],
  ["slightly-right", "5", -1, "B is slightly better", "Slightly"],
  ["right", "6", -2, "B is better", "Better"],
  ["much-right", "7", -3, "B is much better", "Much better"],
];
export const SHORTCUTS = [
  ["arrow-left", "ArrowLeft", 2, "A is better"],
  ["arrow-right", "ArrowRight", -2, "B is better"],
  ["arrow-tie", "ArrowDown", 0, "Tie"],
  ["letter-tie", "t", 0, "Tie"],
];

// run: {judge(value), skip, undo, marks}; every button shows the key that does the same.
export function controls(run, marking) {
  const others = h(
    "div.pl-row.center.pl-judge-others",
    other("Both bad", "both-bad", () => run.judge({ both_bad: true })),
    other("Skip…", "skip", run.skip),
    other("Undo", "undo", run.undo),
    other("Differences", "marks", run.marks, marking),
  );
  return h("div.pl-judge-controls", { hidden: true }, scale(run.judge), others);
}

function scale(judge) {
  const choices = SCALE.map(([action, , value, text, short]) => {
    const side = value > 0 ? "a" : value < 0 ? "b" : "tie";
    const attributes = { type: "button", class: side, "aria-label": text, title: text, onclick: () => judge({ strength: value }) };
    return h("button.pl-choice", attributes, h("span.pl-choice-name", short), hint(`label-${action}`));
  });
  return h(
    "div.pl-judge-scale",
    { role: "group", "aria-label": "Which response is better?" },
    h("span.pl-scale-end.a", "A better"),
    h("div.pl-choices", choices),
    h("span.pl-scale-end.b", "B better"),
  );
}

function other(text, action, run, pressed = null) {
  const element = button(text, run, { kind: "small" });
  element.append(hint(`label-${action}`));
  if (pressed !== null) element.setAttribute("aria-pressed", String(pressed));
  element.dataset.action = action;
  return element;
}
