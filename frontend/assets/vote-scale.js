// The seven steps from "A is much better" to "B is much better", with the keys of the labelling page.

import { button, fill, h } from "./dom.js";
import { bind, hint } from "./keys.js";
import { SCALE, SHORTCUTS } from "./label-scale.js";

// The scale for one page. `onvote(value)` gets a value in shown order; `others` are further actions,
// [{action, key, text, name, run}]; `scrolls` leaves the arrow down to a page that scrolls. Returned: {element, show(whether)}.
// Its keys are bound only while it is shown.
export function voteScale(onvote, others = [], { scrolls = false } = {}) {
  const keys = [
    // The names of actions are those of the labelling page: whoever changed a key there finds it changed here.
    ...[...SCALE, ...SHORTCUTS].map(([action, key, strength, text]) => ({ action, key, text, run: () => onvote({ strength }) })),
    { action: "both-bad", key: "b", text: "Both bad", run: () => onvote({ both_bad: true }) },
    ...others,
  ].filter(({ key }) => !(scrolls && key === "ArrowDown"));
  let bound = [];
  const element = h("div.pl-judge-controls", { hidden: true });

  function draw() {
    const choices = SCALE.map(([action, , strength, text, short]) =>
      h(
        "button.pl-choice",
        { type: "button", class: strength > 0 ? "a" : strength < 0 ? "b" : "tie", "aria-label": text, title: text, onclick: () => onvote({ strength }) },
        h("span.pl-choice-name", short),
        hint(`label-${action}`),
      ),
    );
    fill(
      element,
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

  addEventListener("pl-keys", () => element.hidden || draw());
  return {
    element,
    show(whether) {
      if (element.hidden !== whether) return;
      element.hidden = !whether;
      if (whether) {
        bound = keys.map(({ action, key, text, run }) => bind(`label-${action}`, key, text, run, "Vote"));
        draw();
      } else {
        bound.forEach((remove) => remove());
        bound = [];
      }
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
