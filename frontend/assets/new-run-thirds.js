// The further checkpoints that an objective asks for: a choice for each name, and where a complaint about one goes.

import { field, h, showError } from "./dom.js";

const HELP = {
  guide: "A model that has learned preferences before, from the same start: its rewards say which tokens count.",
  teacher: "A larger or better aligned model with the same vocabulary.",
  teacher_reference: "The teacher before its alignment.",
};
const words = (name) => (name[0].toUpperCase() + name.slice(1)).replaceAll("_", " ");

export class Thirds {
  // `names` are what the objective asks for; `chosen` are ids by name of a run that is repeated.
  constructor(names, checkpoints, { chosen = {}, onchange }) {
    this.names = names;
    this.fields = new Map(names.map((name) => {
      const options = checkpoints.map((one) => h("option", { value: one.id, selected: one.id === chosen[name] }, one.name));
      const select = h("select", { onchange }, h("option", { value: "" }, "Choose a checkpoint"), options);
      return [name, field(words(name), select, { help: HELP[name] })];
    }));
    this.element = h("div.pl-form", { hidden: !names.length }, [...this.fields.values()]);
  }

  body() {
    const chosen = [...this.fields].map(([name, one]) => [name, one.querySelector("select").value]).filter(([, id]) => id);
    return chosen.length ? { third_ids: Object.fromEntries(chosen) } : {};
  }

  clear() {
    this.fields.forEach((one) => showError(one, ""));
  }

  // The complaint is about the choices that are open, or about all of them where none is.
  fail(complaint) {
    const all = [...this.fields.values()];
    const open = all.filter((one) => !one.querySelector("select").value);
    (open.length ? open : all).forEach((one) => showError(one, complaint));
    return all.length > 0;
  }
}
