// The checkpoints that a run has made, each with what one does next.

import { get } from "./api.js";
import { badge, fill, h, link } from "./dom.js";
import { ago, number, percent } from "./format.js";
import { checkpointPage, comparePage, evaluatePage, moving } from "./run-state.js";

// `now()` is the run as it is known by then.
export function products(now) {
  const list = h("div.pl-stack.tight", h("p.pl-muted", "None yet."));
  const metrics = new Map(); // step -> what was measured when it was saved
  const removed = new Set(); // folders that the run has deleted; most have no row any more
  let asked = 0;
  return {
    element: h("section.pl-card.pl-stack.tight", h("h2", "Checkpoints"), list),
    add: (event) => metrics.set(event.step, event.payload.metrics || {}),
    remove: (event) => removed.add(event.payload.removed_checkpoint),
    async refresh() {
      const turn = (asked += 1);
      const page = await get("/checkpoints", { run_id: now().id, limit: 200 }, { quiet: true }).catch(() => null);
      if (page && turn === asked) fill(list, draw(page.items, now(), metrics, removed.size));
    },
  };
}

function draw(made, run, metrics, gone) {
  const kept = made.filter((one) => one.available);
  if (!made.length) return h("p.pl-muted", moving(run) ? "None yet." : "It made none.");
  return [kept.map((one) => card(one, run, metrics.get(one.step) || {})), gone ? h("p.pl-muted", `${gone} earlier ${gone === 1 ? "one was" : "ones were"} deleted, as the run's settings say.`) : null];
}

function card(one, run, measured) {
  const accuracy = measured["eval/rewards/accuracies"] ?? measured["eval/accuracy"];
  const facts = [accuracy !== undefined && accuracy !== null && `${percent(accuracy)} of held-out examples right`, measured["eval/loss"] !== undefined && `loss ${number(measured["eval/loss"], 3)}`].filter(Boolean);
  return h("article.pl-run-product",
    h("div.pl-row.between", h("strong", link(`Step ${one.step}`, checkpointPage(one.id))), h("span.pl-row", one.kind === "reward_model" ? badge("reward model") : null, one.adapter ? badge("adapter") : null, h("small.pl-muted", ago(one.created_at)))),
    facts.length ? h("small.pl-muted", facts.join(" · ")) : null,
    one.kind === "reward_model" ? h("small.pl-muted", "It scores responses, and writes none.") : h("div.pl-row", next("Compare", comparePage(one.id, run.checkpoint_id), "Side by side and blind, against where it started from"),
      next("Evaluate", evaluatePage(run.checkpoint_id, one.id), "On a set of prompts, against where it started from"), next("Use as base", `/new-run?checkpoint=${one.id}`, "Start the next run from it")));
}

const next = (words, href, why) => h("a.pl-button.small", { href, title: why }, words);
