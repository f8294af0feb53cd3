// Of which labelling task a run takes the labels, where it freezes one dataset about which several tasks asked.

import { fill, h, showError } from "./dom.js";
import { choosable, taskField } from "./policy.js";

export class TaskChoice {
  constructor({ onchange }) {
    this.onchange = onchange;
    this.element = h("div");
    this.offer([]);
  }

  // The tasks of the dataset that is chosen; null where several are, or what is frozen already.
  async show(dataset) {
    if (dataset === this.dataset) return;
    this.dataset = dataset;
    this.offer([]);
    if (!dataset) return;
    try {
      const tasks = await choosable(dataset);
      if (dataset === this.dataset) this.offer(tasks);
    } catch {
      if (dataset === this.dataset) this.dataset = null; // asked again at the next change
    }
  }

  offer(tasks) {
    this.field = taskField(tasks, this.onchange);
    fill(this.element, this.field.element);
    this.element.hidden = !tasks.length;
  }

  // As a part of the policy.
  value() {
    return this.field.value() ? { task: this.field.value() } : {};
  }

  clear() {
    this.fail("");
  }

  // Put a complaint at the field; false where it is not to be seen.
  fail(words) {
    if (this.field.element) showError(this.field.element, words);
    return Boolean(this.field.element);
  }
}
