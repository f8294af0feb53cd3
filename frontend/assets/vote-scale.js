// The seven steps from "A is much better" to "B is much better", with the keys of the labelling page.

import { button, h } from "./dom.js";
import { bind, hint } from "./keys.js";

// action, key, strength, what it says, what its button shows
const SCALE = [
  ["much-left", "1", 3, "A is much better", "Much better"],
  ["left", "2", 2, "A is better", "Better"],
  ["slightly-left", "3", 1, "A is slightly better", "Slightly"],
  ["tie", "4", 0, "Tie", "Tie"],
  ["slightly-right", "5", -1, "B is slightly better", "Slightly"],
  ["right", "6", -2, "B is better", "Better"],
  ["much-right", "7", -3, "B is much better", "Much better"],
];
const SHORTCUTS = [
  ["arrow-left", "ArrowLeft", 2, "A is better"],
  ["arrow-right", "ArrowRight", -2, "B is better"],
  ["arrow-tie", "ArrowDown", 0, "Tie"],
  ["letter-tie", "t", 0, "Tie"],
];

// Draws the scale and binds its keys. `onvote(value)` gets a value in shown order; `others` are further actions,
// [{action, key, text, name, run}]. Returned: {element, show(whether)}; keys sleep while the scale is hidden.
export function voteScale(onvote, others = []) {
  let element = draw();
  element.hidden = true;
  const awake = (run) => (...args) => !element.hidden && run(...args);

  // The names of actions are those of the labelling page: whoever changed a key there finds it changed here.
  for (const [action, key, strength, text] of [...SCALE, ...SHORTCUTS]) {
    bind(`label-${action}`, key, text, awake(() => onvote({ strength })), "Vote");
  }
  bind("label-both-bad", "b", "Both bad", awake(() => onvote({ both_bad: true })), "Vote");
  for (const { action, key, text, run } of others) bind(`label-${action}`, key, text, awake(run), "Vote");

  function draw() {
    const choices = SCALE.map(([action, , strength, text, short]) =>
      h(
        "button.pl-choice",
        { type: "button", class: strength > 0 ? "a" : strength < 0 ? "b" : "tie", "aria-label": text, title: text, onclick: () => onvote({ strength }) },
        h("span.pl-choice-name", short),
        hint(`label-${action}`),
      ),
    );
    return h(
      "div.pl-judge-controls",
      h(
        "div.pl-judge-scale",
        { role: "group", "aria-label": "Which answer is better?" },
        h("span.pl-scale-end.a", "A better"),
        h("div.pl-choices", choices),
        h("span.pl-scale-end.b", "B better"),
      ),
      h(
        "div.pl-row.center.pl-judge-others",
        control("Both bad", "both-bad", () => onvote({ both_bad: true })),
        others.map(({ action, name, run }) => control(name, action, run)),
      ),
    );
  }

  function redraw() {
    const fresh = draw();
    fresh.hidden = element.hidden;
    element.replaceWith(fresh);
    element = fresh;
  }
  redraw();
  addEventListener("pl-keys", redraw);
  return {
    get element() {
      return element;
    },
    show(whether) {
      element.hidden = !whether;
    },
  };
}

function control(name, action, run) {
  const element = button(name, run, { kind: "small" });
  element.append(hint(`label-${action}`));
  return element;
}

// The card's style, once a page.
export const cardStyle = (...names) =>
  Promise.all(
    ["label-card", ...names].map(
      (name) =>
        new Promise((resolve) => {
          const sheet = h("link", { rel: "stylesheet", href: new URL(`./${name}.css`, import.meta.url).href });
          sheet.onload = sheet.onerror = resolve;
          document.head.append(sheet);
        }),
    ),
  );
