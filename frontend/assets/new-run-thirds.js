// The further checkpoints of a run: a choice for each that its objective asks for, and, folded away, for each that may
// tell it rewards in the place of the data; and where a complaint about one goes.

import { field, h, showError } from "./dom.js";

const HELP = {
  guide: "A model that has learned preferences before, from the same start: its rewards say which tokens count.",
  teacher: "A larger or better aligned model with the same vocabulary.",
  teacher_reference: "The teacher before its alignment.",
};
const words = (name) => (name[0].toUpperCase() + name.slice(1)).replaceAll("_", " ");
const against = (name) => name.replace(/^reward/, "reward_reference");
const ofAspect = (name) => (name.includes(".") ? ` for ${name.slice(name.indexOf(".") + 1)}` : "");
const value = (one) => one.querySelector("select").value;

export class Thirds {
  // `wanted` are the names that the objective asks for, and those of rewards; `scorers` are reward models; `chosen` are
  // ids by name of a run that is repeated, `beta` is its scale of implicit rewards.
  constructor(wanted, checkpoints, { scorers, chosen = {}, beta, onchange }) {
    this.wanted = wanted;
    this.scorers = new Set(scorers.map((one) => one.id));
    const [names, rewards] = wanted;
    const options = (some, name) => some.map((one) => h("option", { value: one.id, selected: one.id === chosen[name] }, one.name));
    const choice = (name) => h("select", { onchange }, h("option", { value: "" }, "Choose a checkpoint"), options(checkpoints, name));
    this.fields = new Map(names.map((name) => [name, field(words(name), choice(name), { help: HELP[name] })]));
    this.rewards = new Map(rewards.map((name) => {
      const told = h("select", { onchange: () => { this.follow(); onchange(); } }, h("option", { value: "" }, "What the data say"),
        scorers.length ? h("optgroup", { label: "Reward models" }, options(scorers, name)) : null,
        h("optgroup", { label: "Runs by preferences, by how far they have moved" }, options(checkpoints, name)));
      const help = "Its reward is how much likelier it makes a response than this checkpoint does.";
      return [name, { told: field(`Reward${ofAspect(name)}`, told), before: field(`What it was trained from${ofAspect(name)}`, choice(against(name)), { help }) }];
    }));
    this.beta = field("Scale of implicit rewards", h("input", { type: "number", min: 0, step: "any", value: beta ?? "", placeholder: "0.1", oninput: onchange }), { help: "Beta of the run that the reward comes from." });
    this.box = h("details", { hidden: !rewards.length, open: rewards.some((name) => chosen[name]) },
      h("summary", "Let a checkpoint score the responses"),
      h("p.pl-muted", "It is asked once, before training, and tells what the objective reads of each response; what the data say of that is then not read."),
      h("div.pl-form", [...this.rewards.values()].flatMap((one) => [one.told, one.before]), this.beta));
    this.element = h("div.pl-stack.tight", { hidden: !names.length && !rewards.length }, h("div.pl-form", { hidden: !names.length }, [...this.fields.values()]), this.box);
    this.follow();
  }

  // What an implicit reward asks for is shown where one is chosen.
  follow() {
    const all = [...this.rewards.values()];
    for (const one of all) one.before.hidden = !this.implicit(one);
    this.beta.hidden = !all.some((one) => this.implicit(one));
  }

  implicit({ told }) {
    return Boolean(value(told)) && !this.scorers.has(value(told));
  }

  body() {
    const chosen = [...this.fields].map(([name, one]) => [name, value(one)]);
    for (const [name, one] of this.rewards) {
      chosen.push([name, value(one.told)]);
      if (this.implicit(one)) chosen.push([against(name), value(one.before)]);
    }
    const ids = Object.fromEntries(chosen.filter(([, id]) => id));
    const beta = this.beta.hidden ? "" : this.beta.querySelector("input").value;
    return { ...(Object.keys(ids).length ? { third_ids: ids } : {}), ...(beta ? { reward_beta: Number(beta) } : {}) };
  }

  clear() {
    for (const one of [...this.fields.values(), ...[...this.rewards.values()].flatMap((each) => [each.told, each.before]), this.beta]) showError(one, "");
  }

  // The complaint is about the choices that are open, or about all of them where none is.
  fail(complaint, head) {
    const scoring = [...this.rewards.values()].filter((one) => value(one.told));
    const all = [...this.fields.values(), ...scoring.flatMap((one) => (this.implicit(one) ? [one.told, one.before] : [one.told]))];
    const open = all.filter((one) => !value(one));
    const meant = head === "reward_beta" ? [this.beta] : open.length ? open : all;
    if (meant.some((one) => this.box.contains(one))) this.box.open = true;
    meant.forEach((one) => showError(one, complaint));
    return meant.length > 0;
  }
}
