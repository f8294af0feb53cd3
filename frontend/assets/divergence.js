// How far contestants have moved from a reference: asked for here, read by a worker, told as it comes.

import { get, post } from "./api.js";
import { badge, button, fill, h, table, toastError } from "./dom.js";
import { count, number } from "./format.js";
import { live } from "./live.js";

export function divergence(report, items) {
  const path = `/evaluations/${report.evaluation.id}/divergences`;
  const names = Object.fromEntries(report.contestants.map((one) => [one.id, one.name]));
  // Buttons stay while numbers change: what is pressed between two answers is still there when it is let go.
  const start = button("Measure KL on 50 prompts", () => send(path), { title: "Reads answers to 50 prompts with both checkpoints; what is known is not read again" });
  const left = h("span.pl-muted");
  const stop = button("Cancel", () => send(`${path}/cancel`));
  const row = h("div.pl-row");
  const told = h("div.pl-stack.tight");
  const body = h("div.pl-stack.tight", row, told);
  let moving = null;
  let following = null;
  const draw = (found) => {
    const waiting = found.flatMap((one) => one.items).reduce((sum, one) => sum + one.waiting, 0);
    left.textContent = `${count(waiting)} answers are still to be read`;
    if (moving !== waiting > 0) fill(row, (moving = waiting > 0) ? [left, stop] : start);
    fill(told, found.map((one) => of(one, names)), h("p.pl-muted", found.length ? "On 50 prompts drawn by lot, and those whose tokens somebody read. The API takes up to 200." : "Not measured yet."));
    return waiting;
  };
  const follow = () => {
    following ||= live(async (signal) => {
      const found = await get(path, {}, { signal });
      if (draw(found.items)) return true;
      location.reload(); // its numbers are axes now
      return "done";
    }, { seconds: 2, slowest: 8 });
  };
  const send = async (address) => {
    try {
      if (draw((await post(address, {})).items)) follow();
      else {
        following?.stop();
        following = null;
      }
    } catch (error) {
      toastError(error);
    }
  };
  if (draw(items)) follow();
  return h("section.pl-card.pl-stack.tight", { "aria-label": "KL to a reference" }, h("h2", "KL to a reference"), body);
}

function of({ reference, items, warnings }, names) {
  const words = (one) => (one.value === null ? h("span.pl-muted", { title: one.reason }, "–") : h("span", { title: one.reason }, number(one.value, 3), one.low === null ? "" : h("span.pl-muted", ` (${number(one.low, 3)} to ${number(one.high, 3)})`)));
  return h("div.pl-stack.tight", warnings.map((text) => h("p.pl-card.warn", text)), table(`KL to ${reference.name}`, [
    { title: `From ${reference.name}`, cell: (row) => h("strong.pl-eval-name", names[row.contestant]) },
    { title: "Nats an answer", kind: "number", hint: "At each token the divergence over the whole vocabulary, summed over the answer: unbiased, never below 0, and the surest", cell: (row) => words(row.exact) },
    { title: "k1", kind: "number", hint: "Mean log-ratio of an answer: unbiased", cell: (row) => words(row.k1) },
    { title: "k3", kind: "number", hint: "Mean over answers of the sum of exp(−u) − 1 + u over tokens: unbiased, never below 0", cell: (row) => words(row.k3) },
    { title: "Nats a token", kind: "number", cell: (row) => words(row.per_token) },
    { title: "Answers", kind: "number", cell: (row) => count(row.k1.n) },
    { title: "Failed", kind: "number", cell: (row) => (row.failed ? badge(count(row.failed), "warn") : "0") },
  ], items));
}
