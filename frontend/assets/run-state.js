// What a run's state means for people: moving or ended, how far, how long still, how long it took.

import { get } from "./api.js";
import { badge, h, progress, stateBadge } from "./dom.js";
import { count, duration } from "./format.js";

export const MOVING = ["queued", "starting", "running", "stopping"];
export const moving = (run) => MOVING.includes(run.state);

// `phase` is what a run says that it is at before its first step, where that is known.
export function progressLine(run, phase = "loading model and data") {
  if (run.state === "queued" && run.place === "elsewhere") return h("span.pl-muted", "Waits for the machine elsewhere");
  if (run.state === "queued") return h("span.pl-muted", run.position > 1 ? `Number ${run.position} in the queue` : "Next in the queue");
  if (run.state === "starting" || (run.state === "running" && !run.done)) return h("span.pl-muted", `${phase.charAt(0).toUpperCase()}${phase.slice(1)}…`);
  if (run.state === "running" && run.done >= run.total) return h("span.pl-muted", "Finishing: the last measurement, answers and checkpoint…");
  const left = moving(run) && run.eta_seconds !== null ? ` · about ${duration(run.eta_seconds)} left` : "";
  return h("span.pl-muted", `Step ${count(run.done)} of ${count(run.total)}${left}`);
}

export const stateCell = (run) =>
  h("div.pl-run-state", stateBadge(run.state), moving(run) && run.done > 0 ? progress(run.done, run.total, `Progress of ${run.name}`) : null, moving(run) ? progressLine(run) : null);

// How long it has been at work.
export function worked(run) {
  if (!run.started_at) return null;
  const end = run.finished_at ? new Date(run.finished_at) : new Date();
  return (end - new Date(run.started_at)) / 1000;
}

// Weights that are not there any more: by a rule of the project, or nobody knows why.
export const goneBadge = (one) => (one.removed_at ? badge("weights deleted") : badge("files gone", "bad"));

export const toyBadge = () => {
  const note = badge("toy", "warn");
  note.title = "A checkpoint of the toy world: for trying things out, not for use";
  return note;
};

export const checkpointPage = (id) => `/checkpoint?id=${id}`;
export const runPage = (id) => `/run?id=${id}`;
export const comparePage = (...ids) => `/compare?checkpoints=${ids.join(",")}`;
export const evaluatePage = (...ids) => `/evaluate?checkpoints=${ids.join(",")}`;

// 1.2 M, 7.6 B: parameters as people say them.
export function size(parameters) {
  const [unit, word] = parameters >= 0.995e9 ? [1e9, "B"] : parameters >= 1e6 ? [1e6, "M"] : [1e3, "k"];
  return `${Number((parameters / unit).toPrecision(parameters >= 100 * unit ? 3 : 2))} ${word}`; // 135 M, as SmolLM2 135M is called
}

// What runs train by that are no preference runs.
const OTHER_LOSSES = {
  sft: "SFT", bradley_terry: "Bradley-Terry", bradley_terry_margin: "Bradley-Terry with margins",
  ranklist_rm: "RankList scores", gpm_rm: "General preference",
};
const KINDS = { preference: "Preference run", sft: "Supervised fine-tuning", reward_model: "Reward model" };
export const kindTitle = (kind) => KINDS[kind] || kind;

// Titles of objectives by name; the name itself for one that is no longer in the catalogue.
export async function objectiveTitles() {
  const catalogue = await get("/objectives");
  const titles = new Map([...Object.entries(OTHER_LOSSES), ...catalogue.map((one) => [one.name, one.title])]);
  return (name) => titles.get(name) || name;
}
