// New run: what to train on and from, with which objective, how; checked by the API while one types.

import { all, get } from "./api.js";
import { templatesWanted } from "./checkpoint-template.js";
import { button, empty, fill, h, skeleton } from "./dom.js";
import { actions, param } from "./frame.js";
import { load } from "./live.js";
import { convertDialog } from "./new-run-convert.js";
import { LaunchForm } from "./new-run-form.js";
import { stylesheet } from "./stylesheet.js";

export async function mount(element) {
  await Promise.all([stylesheet("runs.css"), stylesheet("objectives.css")]);
  const page = h("div.pl-page.pl-stack");
  element.append(page);
  actions(button("All runs", () => location.assign("/runs"), { kind: "quiet" }));
  fill(page, skeleton(6));
  await load(page, materials, (found) => {
    if (!found.checkpoints.length || (!found.datasets.length && !found.snapshot)) return void page.append(missing(found));
    const form = new LaunchForm(found);
    actions(button("Paste a configuration", () => convertDialog((run) => form.take(run)), { kind: "quiet" }), button("All runs", () => location.assign("/runs"), { kind: "quiet" }));
    page.append(form.element);
    return null;
  });
}

async function materials() {
  const run = (name) => (param(name) ? get(`/runs/${encodeURIComponent(param(name))}`) : null);
  const [form, objectives, registered, datasets, from, after] = await Promise.all([
    get("/run-form"), get("/objectives"), everything("/checkpoints"), everything("/datasets"), run("from"), run("after")?.catch(() => null), // the form does without the run that it follows
  ]);
  const frozen = param("snapshot") || null;
  const snapshot = frozen ? await get(`/snapshots/${encodeURIComponent(frozen)}`) : null;
  const here = registered.filter((one) => one.available && !one.endpoint);
  const weights = here.filter((one) => one.kind === "language_model");
  const wanting = weights.filter((one) => one.chat_template === "missing");
  return { form, objectives, from, after, snapshot, wanting, scorers: here.filter((one) => one.kind === "reward_model"), checkpoints: weights.filter((one) => !wanting.includes(one)), datasets: datasets.filter((one) => one.kind !== "prompts") };
}

async function everything(path) {
  const found = [];
  for await (const one of all(path, { limit: 100 })) found.push(one);
  return found;
}

const missing = ({ checkpoints, wanting }) =>
  checkpoints.length
    ? empty("Nothing to train on", "A run learns from labelled pairs of responses, from rankings, from answers with a thumb, or from demonstrations. Import some, or label pairs of your own.", h("a.pl-button.primary", { href: "/import" }, "Import data"), h("a.pl-button", { href: "/data" }, "Data"))
    : empty("No checkpoint to start from", "A run starts from the weights of a language model.", h("a.pl-button.primary", { href: "/checkpoints" }, "Register a checkpoint"), templatesWanted(wanting));
