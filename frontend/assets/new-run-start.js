// Where a launch form begins: a run to repeat, else what the address names, else what is usual.

import { param } from "./frame.js";
import { fitting, suited } from "./new-run-kind.js";
import { usual, valuesFor } from "./new-run-presets.js";

// About the share of labelled pairs, or of answers, that trains: a tenth is held out, and some labels are ties.
const TRAINS = 0.8;
// What data that are no pairs are usually trained on with.
const USUAL = { unpaired: "kto", ranked: "pl_dpo" };

// The kind of the run to repeat, or the one that the address, its objective or the data named there ask for.
export function startingKind({ form: { kinds }, snapshot, datasets, from }) {
  const named = snapshot || datasets.find((one) => one.id === param("dataset"));
  const ordinary = named?.kind === "demonstrations" && !param("objective") ? "sft" : "preference";
  const trained = kinds.find((one) => one.losses.some((loss) => loss.name === param("objective")));
  const wanted = from?.kind || param("kind") || trained?.name || ordinary;
  return kinds.some((one) => one.name === wanted) ? wanted : "preference";
}

// The newest data that fill a step of the run that they would usually begin, those of the toy world where the address
// asks for it; where none do, the most there are.
export function usualData(found, losses) {
  const held = (one) => (one.kind === "paired" ? one.labelled : one.items);
  const offered = fitting(found.datasets, losses);
  const enough = offered.filter((one) => TRAINS * held(one) >= usual(found.form.presets, usualCheckpoint(found, one)).values.batch.examples_per_step);
  const toy = param("toy") ? enough.find((one) => one.toy) : null;
  return toy || enough[0] || offered.toSorted((one, other) => held(other) - held(one))[0] || null;
}

// The checkpoint that the address names or the run to repeat began with, else one that is toy where the data are.
function usualCheckpoint({ checkpoints, from }, dataset) {
  const wanted = param("checkpoint") || from?.checkpoint_id;
  const alike = checkpoints.filter((one) => !dataset || one.toy === dataset.toy);
  // What a run made is chosen by name, or run after run would pile up on the last one unnoticed.
  const given = (some) => some.find((one) => !one.run_id);
  return checkpoints.find((one) => one.id === wanted) || given(alike) || given(checkpoints) || checkpoints[0];
}

// A run to repeat, else the preset that suits the checkpoint; the address may name parts.
export function startingPoint(found, kind, losses) {
  const { form, snapshot, datasets, from } = found;
  const named = suited(datasets, losses).find((one) => one.id === (param("dataset") || from?.dataset_id));
  const dataset = named || usualData(found, losses);
  const checkpoint = usualCheckpoint(found, dataset);
  const preset = usual(form.presets, checkpoint);
  const objective = param("objective") || (from ? null : kind === "preference" ? USUAL[(snapshot || dataset)?.kind] || null : losses[0].name);
  const values = { ...(from ? from.spec : valuesFor(preset, objective)) };
  if (objective && objective !== values.objective?.name) values.objective = { name: objective };
  return { checkpoint, dataset: snapshot ? null : dataset, preset: from ? null : preset.name, values };
}

// The schema of some parts of a run alone.
export function schemaOf({ properties, $defs }, names) {
  return { $defs, properties: Object.fromEntries(names.map((name) => [name, properties[name]])) };
}

// The same, less one property of one of its definitions.
export function without({ $defs, ...schema }, part, name) {
  const { [name]: _, ...properties } = $defs[part].properties;
  return { ...schema, $defs: { ...$defs, [part]: { ...$defs[part], properties } } };
}
