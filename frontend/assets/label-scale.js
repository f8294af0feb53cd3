// What is pressed to judge a pair: from "A is much better" to "B is much better" in seven steps, or in three.

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
const PREFERENCE = [
  ["prefer-left", "1", 1, "A is better", "A better"],
  ["prefer-tie", "2", 0, "Tie", "Tie"],
  ["prefer-right", "3", -1, "B is better", "B better"],
];

// The steps of a question, and the further keys that judge.
export const steps = (question) => (question.scale === "preference" ? PREFERENCE : SCALE);
export const shortcuts = (question) =>
  question.scale === "preference" ? SHORTCUTS.map(([action, key, value, text]) => [action, key, Math.sign(value), text]) : SHORTCUTS;

// The buttons; `suggested` is the strength that a machine would give.
export function scale(question, judge, suggested = null) {
  const named = question.scale !== "preference";
  const choices = steps(question).map(([action, , value, text, short]) => {
    const side = value > 0 ? "a" : value < 0 ? "b" : "tie";
    const [marked, label] = value === suggested ? ["suggested", `${text} (suggested)`] : ["", text];
    const attributes = { type: "button", class: `${side} ${marked}`, "aria-label": label, title: label, onclick: () => judge({ strength: value }) };
    return h("button.pl-choice", attributes, h("span.pl-choice-name", short), hint(`label-${action}`));
  });
  return h(
    "div.pl-judge-scale",
    { role: "group", "aria-label": "Which response is better?", class: named ? null : "short" },
    named && h("span.pl-scale-end.a", "A better"),
    h("div.pl-choices", { style: { "--pl-steps": choices.length } }, choices),
    named && h("span.pl-scale-end.b", "B better"),
  );
}

// Good or not, of a single response.
export const THUMBS = [
  ["good", "1", true, "Good"],
  ["not-good", "2", false, "Not good"],
];
export const THUMB_SHORTCUTS = [
  ["arrow-good", "ArrowUp", true, "Good"],
  ["arrow-not-good", "ArrowDown", false, "Not good"],
];

export function thumbs(judge, suggested = null) {
  const choices = THUMBS.map(([action, , value, text]) => {
    const [marked, label] = value === suggested ? ["suggested", `${text} (suggested)`] : ["", text];
    const attributes = { type: "button", class: marked, "aria-label": label, onclick: () => judge({ thumb: value }) };
    return h("button.pl-choice", attributes, h("span.pl-choice-name", value ? "✓ Good" : "✕ Not good"), hint(`label-${action}`));
  });
  return h("div.pl-judge-scale.short", { role: "group", "aria-label": "Is the response good?" }, h("div.pl-choices", { style: { "--pl-steps": 2 } }, choices));
}

// A smaller button with the key that does the same; `pressed` for what is on or off.
export function other(text, action, run, pressed = null) {
  const element = button(text, run, { kind: "small" });
  element.append(hint(`label-${action}`));
  if (pressed !== null) element.setAttribute("aria-pressed", String(pressed));
  element.dataset.action = action;
  return element;
}
