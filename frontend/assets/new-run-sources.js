// The first part of the launch form: the run's name, the data, the checkpoint to start from, the reference, whose labels count.

import { templatesWanted } from "./checkpoint-template.js";
import { field, fill, h, showError } from "./dom.js";
import { schemaForm } from "./form.js";
import { count } from "./format.js";
import { nouns } from "./kinds.js";
import { DataChoice } from "./new-run-data.js";
import { fitting, suited } from "./new-run-kind.js";
import { schemaOf, usualData, without } from "./new-run-start.js";
import { TaskChoice } from "./new-run-task.js";
import { size, toyBadge } from "./run-state.js";

export class Sources {
  // `found` is what there is, `start` the checkpoint and dataset to begin with; losses() are those of the kind of run.
  // onchange() follows every change, onsuit() another checkpoint.
  constructor(found, start, { losses, onchange, onsuit }) {
    Object.assign(this, { found, datasets: found.datasets, checkpoints: found.checkpoints, schema: found.form.schema, losses, onchange, turned: losses(), left: [] });
    const { from, snapshot } = found;
    this.named = Boolean(from);
    this.name = h("input", { type: "text", maxlength: 120, value: from ? `${from.name} again`.slice(0, 120) : "" });
    this.name.addEventListener("input", () => { this.named = this.name.value !== ""; onchange(); });
    const again = !snapshot && from?.data.length > 1 ? from.data.map((part) => frozen(part, this.datasets)) : whole(start.dataset);
    this.data = new DataChoice(() => choices(found, losses()), { onchange, chosen: again });
    const named = (one) => `${one.name} · ${size(one.parameters)}${one.toy ? " · toy" : ""}`;
    const option = (one, chosen) => h("option", { value: one.id, selected: one.id === chosen }, named(one));
    this.checkpoint = h("select", { onchange: onsuit }, this.checkpoints.map((one) => option(one, start.checkpoint.id)));
    this.reference = h("select", { onchange }, h("option", { value: "" }, "Where the run starts from"), this.checkpoints.map((one) => option(one, from?.reference_id)));
    this.toy = h("span");
    this.policy = schemaForm(without(schemaOf(this.schema, ["policy"]), "Policy", "task"), { onchange });
    this.task = new TaskChoice({ onchange });
    this.pairsPlace = h("div");
    this.makePairs(from?.spec || {});
    this.fields = {
      name: field("Name", this.name),
      dataset_id: this.data.element,
      checkpoint_id: field("Start from", this.checkpoint, { help: "Its weights are not changed; the run makes new ones." }),
      reference_id: field("Reference", this.reference, { help: "What the objective measures change against." }),
    };
    this.fields.snapshot_id = this.fields.mixture = this.fields.dataset_id;
    this.details = h("summary");
    this.element = h("section.pl-card.pl-stack", h("div.pl-row", h("h2", "1 · Data and checkpoint"), this.toy),
      h("div.pl-form", this.fields.dataset_id, this.fields.checkpoint_id, this.fields.name, this.task.element), this.pairsPlace, templatesWanted(found.wanting),
      h("details", this.details, h("div.pl-stack", h("div.pl-form", this.fields.reference_id), this.policy.element)));
  }

  makePairs(values) {
    this.pairs = schemaForm(schemaOf(this.schema, ["pairs"]), { values, onchange: this.onchange });
    fill(this.pairsPlace, this.pairs.element);
  }

  // Data for another kind of run: of all that was chosen the last that fits it or was chosen for it, else what is usual.
  turn() {
    this.left.unshift({ losses: this.turned, data: this.data.chosen() });
    this.turned = this.losses();
    const kinds = new Set(fitting(this.datasets, this.turned).map((one) => one.kind));
    const last = this.left.find(({ losses, data }) => losses === this.turned || data.every((one) => kinds.has(one.kind)));
    this.data.choose(last?.data || whole(usualData(this.found, this.turned)));
  }

  // Some objectives compare with no reference: a choice that was made stands where it cannot be seen, and is not sent.
  showReference(there) {
    this.fields.reference_id.hidden = !there;
    this.details.textContent = there ? "Reference, and which labels count" : "Which labels count";
  }

  // Pairs can feed what learns from single answers, if somebody wants that; and what else follows from the choices.
  show(paired, title) {
    const chosen = this.data.ids().map((id) => this.datasets.find((one) => one.id === id));
    this.task.show((chosen.length === 1 && chosen[0]) || null);
    this.pairs.element.hidden = paired || !chosen.some((one) => !one || one.kind === "paired");
    if (!this.named) this.name.value = `${title} on ${this.data.words()}`.slice(0, 120);
    fill(this.toy, this.chosen().toy ? toyBadge() : null);
  }

  chosen() {
    return this.checkpoints.find((one) => one.id === this.checkpoint.value);
  }

  get apart() {
    return !this.pairs.element.hidden && this.pairs.value().pairs === "apart";
  }

  get labels() {
    return { ...this.policy.value().policy, ...this.task.value() };
  }

  body() {
    return {
      name: this.name.value, checkpoint_id: this.checkpoint.value, ...(this.reference.value && !this.fields.reference_id.hidden ? { reference_id: this.reference.value } : {}),
      ...this.data.body(), policy: this.labels, ...(this.pairs.element.hidden ? {} : this.pairs.value()),
    };
  }

  // What of a converted configuration is here, for its kind of run.
  take({ spec, checkpoint_id, reference_id, data }) {
    this.turn();
    this.makePairs(spec);
    const known = (id) => this.checkpoints.some((one) => one.id === id);
    if (known(checkpoint_id)) this.checkpoint.value = checkpoint_id;
    if (known(reference_id)) this.reference.value = reference_id;
    const here = data.flatMap((one) => this.datasets.filter(({ id }) => id === one.dataset_id).map((dataset) => asChosen(dataset, one.weight)));
    if (here.length) this.data.choose(here);
  }

  clear() {
    Object.values(this.fields).forEach((one) => showError(one, ""));
    this.policy.clear();
    this.task.clear();
    this.pairs.clear();
  }

  // Put a complaint at its field; false when no field here is meant.
  fail(path, words) {
    const one = this.fields[path.split(".")[0]];
    if (path === "policy.task" && this.task.fail(words)) return true;
    if (!one) return this.policy.fail(path, words) || this.pairs.fail(path, words);
    showError(one, words);
    return true;
  }
}

// A dataset, alone or one of several, or one part of a run's frozen data, as what is chosen.
const asChosen = (dataset, weight = null) => ({ id: `dataset:${dataset.id}`, weight, words: dataset.name, kind: dataset.kind });
const whole = (dataset) => (dataset ? [asChosen(dataset)] : []);
const frozen = (part, datasets) => ({
  id: `snapshot:${part.snapshot_id}`, weight: part.weight, words: `Snapshot ${part.hash.slice(0, 12)} of ${part.dataset}`, kind: kindOf(part.dataset_id, datasets),
});
const kindOf = (id, datasets) => datasets.find((one) => one.id === id)?.kind;

// What there is to train on, as options: the frozen data that are meant, and the datasets that the losses can learn from.
function choices({ snapshot, from, datasets }, losses) {
  const meant = snapshot ? [h("option", { value: `snapshot:${snapshot.id}`, "data-kind": snapshot.kind }, `Snapshot ${snapshot.hash.slice(0, 12)} of ${snapshot.dataset_name}`)] : [];
  const again = from ? [h("option", { value: `snapshot:${from.snapshot_id}`, "data-kind": kindOf(from.dataset_id, datasets) }, `The very data of “${from.name}”`)] : [];
  const held = (one) => (one.kind === "paired" ? `${count(one.labelled)} of ${count(one.items)} labelled` : `${count(one.items)} ${nouns(one.kind)}`);
  const offered = suited(datasets, losses).map((one) => h("option", { value: `dataset:${one.id}`, "data-name": one.name, "data-kind": one.kind }, `${one.name} (${held(one)})`));
  const found = [...meant, ...again, ...offered];
  return found.length ? found : [h("option", { value: "" }, "Nothing here yet that it could learn from")];
}
