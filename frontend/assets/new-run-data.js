// What a run trains on: one dataset or snapshot, or several with the share of the draws that comes from each.

import { button, fill, h } from "./dom.js";

const MOST = 16;

// What is chosen is told as [{id, weight, words, kind}]: the value of an option and null without weights; how it is
// called and what kind of data it is, where it is none of the options.
export class DataChoice {
  constructor(options, { onchange, chosen }) {
    this.options = options;
    this.onchange = onchange;
    this.list = h("div.pl-stack.tight");
    this.weighted = h("input", { type: "checkbox", onchange: () => { this.draw(); onchange(); } });
    this.weightedLine = h("label.pl-check", this.weighted, h("span", "Draw by weight, instead of taking every example once an epoch"));
    this.more = button("Mix in more data", () => { this.add(); this.draw(); onchange(); }, { kind: "small" });
    this.element = h("div.pl-field", h("label", { for: "pl-run-data" }, "Data"), this.list,
      h("small.pl-help", "Its labelled pairs, or its answers, are frozen when the run is launched."), h("small.pl-field-error", { role: "alert" }),
      this.weightedLine, h("div.pl-row", this.more));
    this.choose(chosen);
  }

  add(one = null) {
    const taken = new Set(this.rows.map((row) => row.select.value));
    const label = this.rows.length ? { "aria-label": `Data ${this.rows.length + 1}` } : { id: "pl-run-data" };
    const select = h("select.pl-input", { ...label, onchange: () => this.onchange() }, this.options());
    if (one) {
      if (![...select.options].some((option) => option.value === one.id)) select.append(h("option", { value: one.id, "data-kind": one.kind }, one.words));
      select.value = one.id;
    } else if (taken.has(select.value)) select.value = [...select.options].map((option) => option.value).find((value) => !taken.has(value)) || select.value;
    const weight = h("input.pl-input.pl-weight", { type: "text", inputmode: "decimal", "aria-label": `Weight ${this.rows.length + 1}`, value: one?.weight ?? 1, oninput: () => this.onchange() });
    this.rows.push({ select, weight });
  }

  draw() {
    const several = this.rows.length > 1;
    this.weightedLine.hidden = !several;
    this.more.hidden = this.rows.length >= Math.min(MOST, this.rows[0].select.options.length);
    fill(this.list, this.rows.map((row) => h("div.pl-row.pl-mixed", row.select, several && this.weighted.checked ? row.weight : null,
      several ? button("Remove", () => { this.rows = this.rows.filter((other) => other !== row); this.draw(); this.onchange(); }, { kind: "small" }) : null)));
  }

  // The name of what is chosen, for the run's own.
  words() {
    return this.rows.map((row) => row.select.selectedOptions[0]?.dataset.name ?? row.select.selectedOptions[0]?.textContent ?? "").join(" + ");
  }

  // The datasets that are chosen; a snapshot's is not known.
  ids() {
    return this.rows.map((row) => row.select.value.replace(/^dataset:/, ""));
  }

  // The first option where nothing is.
  choose(chosen) {
    this.rows = [];
    for (const one of chosen.length ? chosen : [null]) this.add(one);
    this.weighted.checked = chosen.some((one) => one.weight !== null);
    this.draw();
  }

  chosen() {
    return this.rows.map(({ select, weight }) => {
      const { textContent, dataset } = select.selectedOptions[0];
      return { id: select.value, weight: this.weighted.checked ? weight.value : null, words: textContent, kind: dataset.kind };
    });
  }

  body() {
    const parts = this.rows.map((row) => {
      const [kind, id] = row.select.value.split(":");
      const weight = Number(row.weight.value);
      return { [kind === "snapshot" ? "snapshot_id" : "dataset_id"]: id, weight: this.weighted.checked ? (row.weight.value.trim() === "" || Number.isNaN(weight) ? row.weight.value : weight) : null };
    });
    if (parts.length > 1) return { mixture: parts };
    const { weight: _, ...only } = parts[0];
    return only;
  }
}
