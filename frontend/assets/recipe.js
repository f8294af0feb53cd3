// The recipe of three runs, demonstrations, a reward model, preferences: what it is, how far a run's has come, what is next.

import { all, get } from "./api.js";
import { button, field, fill, h, link, stateBadge } from "./dom.js";
import { count, percent } from "./format.js";
import { moving, runPage } from "./run-state.js";

const STEPS = [
  ["sft", "Supervised fine-tuning", "A model learns from demonstrations how to answer."],
  ["reward_model", "Reward model", "The same model learns from pairs to score answers as people would: the check on what the pairs say."],
  ["preference", "Preference run", "The fine-tuned model moves towards what people preferred, by the same pairs."],
];
const MOST_TOLD = 3; // runs of one step
const MOST_PRODUCTS = 6; // checkpoints of a fine-tuning that are looked at, the newest

export const placeOf = (kind) => STEPS.findIndex(([name]) => name === kind) + 1;

// The three steps as a list; `current` is the kind of the one that is meant, `done` has more to show of each kind.
export const steps = (current, done = {}) =>
  h("ol.pl-steps", STEPS.map(([kind, title, why]) =>
    h("li", { "aria-current": kind === current ? "step" : null }, h("b", title), h("span.pl-muted", why), done[kind] || null)));

// const part = recipe(); place.append(part.element); part.refresh(run) shows it once the run has ended.
export function recipe() {
  const element = h("section.pl-card.pl-stack.tight", { "aria-label": "Recipe", hidden: true });
  return {
    element,
    async refresh(now) {
      if (moving(now)) return;
      const found = await around(now).catch(() => null); // the page does without: it is told what else fails
      if (found) draw(element, now, found);
    },
  };
}

// The fine-tuning that a run belongs to, if any; the checkpoints to go on from; and the runs that went on from them.
async function around(run) {
  const quiet = { quiet: true };
  const root = run.kind === "sft" ? run : await madeBy(run.checkpoint_id);
  if (run.kind === "preference" && !root) return null;
  const known = root ? (await get("/checkpoints", { run_id: root.id, limit: 200 }, quiet)).items : [await get(`/checkpoints/${run.checkpoint_id}`, {}, quiet)];
  const made = known.filter((one) => one.available).slice(0, MOST_PRODUCTS);
  const pages = await Promise.all(made.map((one) => get("/runs", { checkpoint_id: one.id, limit: 50 }, quiet)));
  const pairs = [];
  for await (const one of all("/datasets", { limit: 100 })) if (one.kind === "paired" && one.labelled > 0) pairs.push(one);
  const runs = pages.flatMap((page) => page.items).filter((one) => root || one.dataset_id === run.dataset_id); // of all that begin with a model, those on the same pairs
  return { root, made, runs, pairs };
}

async function madeBy(id) {
  const start = await get(`/checkpoints/${id}`, {}, { quiet: true });
  const run = start.run_id ? await get(`/runs/${start.run_id}`, {}, { quiet: true }) : null;
  return run?.kind === "sft" ? run : null;
}

function draw(element, run, { root, made, runs, pairs }) {
  const of = (kind) => runs.filter((one) => one.kind === kind);
  const scored = of("reward_model");
  const done = { sft: root ? [told(root)] : [h("span.pl-muted", "Left out: it began with a model that answers already.")], reward_model: list(scored), preference: list(of("preference")) };
  element.hidden = !made.length && !runs.length;
  fill(element, h("h2", "One recipe, three runs"), steps(run.kind, done), made.length ? next(run, made, scored, pairs) : h("p.pl-muted", "Its checkpoints are gone, so nothing can go on from them."));
}

const list = (runs) => [runs.slice(0, MOST_TOLD).map(told), runs.length > MOST_TOLD ? h("span.pl-muted", `and ${runs.length - MOST_TOLD} more`) : null];

function told(run) {
  const accuracy = run.metrics?.["eval/accuracy"];
  return h("span.pl-row", link(run.name, runPage(run.id)), stateBadge(run.state), run.kind === "reward_model" && Number.isFinite(accuracy) ? h("span.pl-muted", `${percent(accuracy)} of held-out pairs right`) : null);
}

// From which checkpoint and with which pairs it goes on: asked here, carried into the form.
function next(run, made, scored, pairs) {
  const start = made.find((one) => one.id === run.checkpoint_id) || made[0];
  const own = [run, ...scored].map((one) => one.dataset_id).find((id) => pairs.some((one) => one.id === id));
  const usual = pairs.find((one) => one.id === own) || pairs.find((one) => one.toy === start.toy) || pairs[0];
  const checkpoint = h("select", made.map((one) => h("option", { value: one.id, selected: one === start }, one.name)));
  const data = h("select", pairs.map((one) => h("option", { value: one.id, selected: one === usual }, `${one.name} (${count(one.labelled)} labelled)`)));
  const open = (kind) => location.assign(`/new-run?${new URLSearchParams({ kind, checkpoint: checkpoint.value, dataset: data.value, after: run.id })}`);
  const lacking = pairs.length ? null : "No labelled pairs yet: import some, or label some first.";
  const go = (kind, words, first) => button(words, () => open(kind), { kind: first ? "primary" : "", disabled: lacking });
  return [
    pairs.length ? h("div.pl-form.pl-recipe-choices", field("Go on from", checkpoint), field("With the pairs of", data)) : h("p", `${lacking} `, link("Data", "/data")),
    h("div.pl-row", go("reward_model", scored.length ? "Train another reward model" : "Train a reward model", !scored.length && run.kind === "sft"),
      go("preference", run.kind === "preference" ? "Another preference run" : "Preference run from this checkpoint", run.kind === "reward_model" || (run.kind === "sft" && scored.length > 0))),
  ];
}
