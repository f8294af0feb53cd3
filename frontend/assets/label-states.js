// What the labelling page says when there is no card: all done, the rest with others, or the task over.

import { button, empty, h } from "./dom.js";
import { count, plural } from "./format.js";
import { mayResearch } from "./frame.js";

const others = () => h("a.pl-button", { href: "/label" }, "Label something else");
const back = (undo, last) => (last ? button("Undo the last answer", undo, { kind: "quiet" }) : null);

export function done(task, queue, undo) {
  const { total, byYou } = queue.shown;
  if (!total) return empty("Nothing here", "This dataset holds nothing yet.", others());
  const train = mayResearch && h("a.pl-button.primary", { href: `/new-run?dataset=${encodeURIComponent(task.dataset_id)}` }, "Train on this");
  const words = `Nothing is left for you among ${plural(total, "item")}; ${count(byYou)} of the labels are yours. Thank you.`;
  return empty("All done here", words, ...[train, others(), back(undo, queue.history.last)].filter(Boolean));
}

export const busy = (left) =>
  empty(
    "Others hold the rest",
    `The last ${plural(left, "item")} ${left === 1 ? "is" : "are"} open in front of other people. What they give back comes here by itself.`,
    others(),
  );

// The task was closed, or its deadline passed, while the page was open or before.
export const ended = (error) => empty(error.title, [error.detail, error.remedy].filter(Boolean).join(" "), others());
