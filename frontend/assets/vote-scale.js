// The seven steps from "A is much better" to "B is much better", with the keys of the labelling page.

import { fill, h } from "./dom.js";
import { bind } from "./keys.js";
import { other, SCALE, scale, SHORTCUTS } from "./label-scale.js";

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
    fill(
      element,
      scale({ scale: "strength" }, onvote),
      h(
        "div.pl-row.center.pl-judge-others",
        other("Both bad", "both-bad", () => onvote({ both_bad: true })),
        others.map(({ action, name, run }) => other(name, action, run)),
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
