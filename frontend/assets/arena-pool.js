// Who answers in the arena: how many, and of which checkpoints they are drawn. Kept in this browser.

import { add, fill, h } from "./dom.js";
import { param } from "./frame.js";

const STORE = "pl-arena-many";
const NUMBERS = [[2, "Two answers"], [3, "Three answers"], [4, "Four answers"]];
const WORDS = { 2: "both", 3: "all three", 4: "all four" };

export class Pool {
  constructor(onchange) {
    this.onchange = onchange;
    this.checks = [];
    this.number = h("select.pl-input", { "aria-label": "How many answers" }, NUMBERS.map(([n, text]) => h("option", { value: n }, text)));
    this.number.value = stored();
    this.number.addEventListener("change", () => {
      store(this.number.value);
      this.changed();
    });
    this.summary = h("summary");
    this.list = h("div.pl-arena-pool");
    this.details = h("details.pl-composer-more.pl-arena-from", { hidden: true }, this.summary, this.list);
    this.note = h("span.pl-muted");
  }

  get n() {
    return Number(this.number.value);
  }

  // "both", "all three": whom the button asks.
  get words() {
    return WORDS[this.n];
  }

  // The checkpoints to choose from; null when the person may not list them: then chance chooses among all.
  offer(checkpoints) {
    if (!checkpoints) return this.changed();
    // "Compare" on a run's or checkpoint's page names some.
    const named = (param("checkpoints") || "").split(",").filter((id) => checkpoints.some((one) => one.id === id));
    this.checks = checkpoints.map((one) => h("input", { type: "checkbox", value: one.id, checked: named.includes(one.id), onchange: () => this.changed() }));
    fill(this.list, checkpoints.map((one, place) => h("label.pl-check", this.checks[place], h("span.pl-wrap", one.name))));
    for (const option of this.number.options) option.disabled = Number(option.value) > checkpoints.length;
    if (named.length >= 2) this.number.value = Math.min(4, named.length);
    else if (this.n > checkpoints.length) this.number.value = checkpoints.length;
    this.details.hidden = false;
    return this.changed();
  }

  get chosen() {
    return this.checks.filter((one) => one.checked).map((one) => one.value);
  }

  // {contestants, checkpoints}, or null with the reason in words.
  value() {
    const { chosen } = this;
    if (chosen.length && chosen.length < this.n) return { wrong: `Tick ${this.n} checkpoints at least, or none to draw from all.` };
    return { contestants: this.n, checkpoints: chosen.length ? chosen : null };
  }

  changed() {
    const { length } = this.chosen;
    const all = this.checks.length;
    this.summary.textContent = length ? `Drawn from ${length} chosen` : `Drawn from all ${all || ""} checkpoints`.replace("  ", " ");
    fill(this.note, this.checks.length ? "" : "Checkpoints are drawn by lot.");
    this.onchange();
  }

  place(where) {
    return add(where, this.number, this.note);
  }
}

function stored() {
  try {
    const found = localStorage.getItem(STORE);
    return ["2", "3", "4"].includes(found) ? found : "2";
  } catch {
    return "2"; // storage is off
  }
}

function store(value) {
  try {
    localStorage.setItem(STORE, value);
  } catch {
    // Storage is off: the number holds until the page is left.
  }
}
