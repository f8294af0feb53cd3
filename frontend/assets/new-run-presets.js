// Which starting point suits a checkpoint, and what an objective changes in one.

// A preset without `suits` is for every checkpoint; others are for one architecture and size.
const suits = ({ suits: wanted }, checkpoint) =>
  !wanted || (wanted.architecture === checkpoint.architecture && wanted.parameters.includes(checkpoint.parameters));

// What a checkpoint is started with when nobody has chosen: the toy's recipe, the model's own, else plain LoRA.
export function usual(presets, checkpoint) {
  const own = checkpoint.toy ? null : presets.find((one) => one.suits && suits(one, checkpoint));
  return own || presets.find((one) => one.name === (checkpoint.toy ? "toy" : "lora"));
}

// Another checkpoint wants another start, unless the chosen one does for it as well.
export function replaced(presets, name, checkpoint) {
  const current = presets.find((one) => one.name === name);
  if (!current || name === "try") return null;
  const wanted = usual(presets, checkpoint);
  const misplaced = !suits(current, checkpoint) || (name === "toy") !== checkpoint.toy || name === "lora";
  return misplaced && wanted !== current ? wanted.name : null;
}

// The parts of a run that a preset gives with this objective.
export const valuesFor = (preset, objective) => ({ ...preset.values, ...preset.objectives[objective] });

// What a preset gives an objective, {name, …hyperparameters}; null where it gives nothing.
export function objectiveFor(preset, name) {
  const given = preset && valuesFor(preset, name).objective;
  return given?.name === name ? given : null;
}

// Whether an objective is still as the preset gave it; one it knows nothing of is.
export const asGiven = (preset, objective) =>
  Object.entries(objectiveFor(preset, objective.name) || {}).every(([part, given]) => JSON.stringify(objective[part] ?? null) === JSON.stringify(given));

// The learning rate that goes with another objective; null where somebody has typed another one than was given.
export function rateFor(preset, objective, typed, given) {
  return typed === given ? preset?.objectives[objective]?.optimizer.learning_rate ?? null : null;
}

// Only the buttons of presets that the checkpoint can use are there.
export const offer = (buttons, presets, checkpoint) =>
  buttons.forEach((one, index) => { one.hidden = !suits(presets[index], checkpoint); });
