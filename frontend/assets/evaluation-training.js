// Which prompts stand in what contestants were trained on, and the win rates with and without them.

import { get, post } from "./api.js";
import { button, fill, h, link, progress, table, toastError } from "./dom.js";
import { count, percent, plural } from "./format.js";
import { judgeName } from "./judge-name.js";
import { live } from "./live.js";

const MOVING = ["queued", "starting", "running", "stopping"];

// `again` reads the report anew once the search has ended.
export function training(report, evaluation, again) {
  const path = `/evaluations/${evaluation.id}/contamination`;
  const names = Object.fromEntries(report.contestants.map((one) => [one.id, one.name]));
  const head = h("div.pl-stack.tight");
  const send = async (address) => {
    try {
      draw(await post(address, {}));
    } catch (error) {
      toastError(error);
    }
  };
  let following = false;
  const follow = () => {
    if (following) return;
    following = true;
    live(async (signal) => {
      if (!head.isConnected) return "done";
      const found = await get(path, {}, { signal });
      if (!MOVING.includes(found.state)) {
        again();
        return "done";
      }
      draw(found);
      return true;
    }, { seconds: 1, slowest: 6 });
  };
  const draw = (found) => {
    const moving = MOVING.includes(found.state);
    fill(head, h("p", { class: found.state === "failed" ? "pl-error" : "" }, found.words),
      moving ? [progress(found.done, found.total, "Training examples read"), h("div.pl-row", h("span.pl-muted", `${count(found.done)} of ${plural(found.total, "training example")}`), button("Cancel the search", () => send(`${path}/cancel`), { kind: "small", disabled: found.state === "stopping" ? "It is stopping." : null }))] : null,
      !moving && found.trained ? h("div.pl-row", button(found.state === null ? "Look for them" : "Look again", () => send(path), { kind: "small" })) : null);
    if (moving) requestAnimationFrame(follow);
  };
  const element = h("section.pl-card.pl-stack.tight", { "aria-label": "Prompts seen in training" }, h("h2", "Prompts seen in training"), head);
  const { items } = report.contamination;
  draw(report.contamination);
  if (items.length) element.append(...[counts(items, names, evaluation), rates(report.tables, names, evaluation), note()].filter(Boolean));
  return element;
}

const counts = (items, names, { id }) => table("Prompts that stand in training data", [
  { title: "Trained here", cell: (row) => h("strong.pl-eval-name", names[row.contestant]) },
  { title: "Prompts seen", kind: "number", cell: (row) => (row.exact + row.overlapping ? link(`${count(row.exact + row.overlapping)} (${percent(row.share, 1)})`, `/grid?id=${id}&contestant=${row.contestant}&in_training=true`) : "none") },
  { title: "Word for word", kind: "number", cell: (row) => count(row.exact) },
  { title: "By overlap", kind: "number", hint: "70 % of their runs of eight words stand in the training prompts", cell: (row) => count(row.overlapping) },
  { title: "Looked for", kind: "number", cell: (row) => count(row.prompts) },
  { title: "In", cell: (row) => row.snapshots.map((one, index) => [index ? ", " : "", link(one.dataset, `/dataset?id=${one.dataset_id}`)]) },
], items);

function rates(tables, names, evaluation) {
  const rows = tables.flatMap((one) => one.clean.map((row) => ({ ...row, judge: one.judge })));
  if (!rows.length) return null;
  return table("Win rates with and without the prompts seen", [
    { title: "Against the baseline", cell: (row) => h("strong.pl-eval-name", names[row.contestant]) },
    { title: "Judge", cell: (row) => judgeName(row.judge, evaluation) },
    { title: "On prompts seen", kind: "number", hint: "By this contestant or the baseline", cell: (row) => share(row.seen) },
    { title: "Without them", kind: "number", cell: (row) => share(row.unseen) },
  ], rows);
}

const share = ({ rate, low, high, prompts, reason }) =>
  rate === null ? h("span.pl-muted", { title: reason }, prompts ? "one match" : "no match") : h("span", h("strong", percent(rate, 1)), low === null ? h("span.pl-muted", { title: reason }, " no interval") : h("span.pl-muted", ` ${(100 * low).toFixed(1)}–${percent(high, 1)}`), h("div.pl-muted", plural(prompts, "prompt")));

const note = () => h("p.pl-muted.pl-note", "User turns are compared in lower case and without punctuation. A prompt counts as seen where a training prompt is the same, or where 70 % of its runs of eight words stand in training prompts; one of fewer than eight words only where it stands there whole. What the run began with counts as well, as far as it was trained here.");
