// Which objective a run has: the recommended ones as buttons, all others behind a search; those that the data cannot feed say why.

import { button, dialog, empty, fill, h } from "./dom.js";
import { fidelity, needs } from "./objective-card.js";
import { byFamily, found } from "./objective-search.js";

export class ObjectivePicker {
  // `unfit` gives, by name, why the chosen data cannot feed an objective: {detail, remedy}.
  constructor(objectives, { onchange }) {
    this.objectives = objectives;
    this.onchange = onchange;
    this.unfit = {};
    this.value = null;
    this.row = h("div.pl-picks", { role: "radiogroup", "aria-labelledby": "pl-objective-label" });
    this.why = h("p.pl-pick-why", { role: "status" });
    this.element = h("div.pl-field", h("span.pl-label", { id: "pl-objective-label" }, "Objective"), this.row, this.why, h("small.pl-field-error", { role: "alert" }));
    this.row.addEventListener("keydown", (event) => this.walk(event));
  }

  offer(objectives) {
    this.objectives = objectives;
  }

  choose(name) {
    this.value = name;
    this.draw();
  }

  // What a further checkpoint can tell keeps nothing from being chosen.
  setUnfit(unfit) {
    this.unfit = Object.fromEntries(Object.entries(unfit).filter(([, why]) => !why.scorer));
    this.draw();
  }

  draw() {
    const few = !this.objectives.some((one) => one.recommended);
    const shown = this.objectives.filter((one) => few || one.recommended || one.name === this.value);
    const focused = this.row.contains(document.activeElement) ? document.activeElement.value : null;
    const more = this.objectives.length > shown.length ? button(`All ${this.objectives.length} objectives…`, () => this.open(), { kind: "small" }) : null;
    fill(this.row, shown.map((one) => this.pick(one)), more);
    const again = [...this.row.querySelectorAll('[role="radio"]')].find((one) => one.value === focused);
    again?.focus();
    this.explain(again && this.unfit[focused] ? focused : this.value);
  }

  explain(name) {
    const reason = this.unfit[name];
    fill(this.why, reason ? [reason.detail, " ", reason.remedy] : null);
    this.why.hidden = !reason;
  }

  pick(one) {
    const checked = one.name === this.value;
    const reason = this.unfit[one.name];
    const first = this.objectives.find((other) => other.recommended) || this.objectives[0];
    const reached = checked || (!this.objectives.some((other) => other.name === this.value) && one === first);
    return h("button.pl-pick", { type: "button", role: "radio", value: one.name, "aria-checked": String(checked), "aria-disabled": reason ? "true" : null, class: reason ? "unfit" : null, tabindex: reached ? 0 : -1, title: reason ? `${reason.detail} ${reason.remedy}` : one.summary, onclick: () => this.reach(one.name) },
      h("b", one.title), reason ? h("small", "needs other data") : h("small", one.paper.authors, " ", one.paper.year));
  }

  // One that the data cannot feed says why and is not taken.
  reach(name) {
    if (this.unfit[name] || name === this.value) this.explain(name);
    else this.take(name);
  }

  take(name) {
    if (name === this.value) return;
    this.choose(name);
    this.onchange(name);
  }

  // Arrow keys go through the buttons, as in any group of radio buttons, also to those that say why they cannot be taken.
  walk(event) {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    const all = [...this.row.querySelectorAll('[role="radio"]')];
    const at = all.indexOf(document.activeElement);
    if (!step || at < 0) return;
    event.preventDefault();
    const next = all[(at + step + all.length) % all.length];
    next.focus();
    this.reach(next.value);
  }

  async open() {
    const chosen = await dialog("Choose an objective", (close) => {
      const list = h("div.pl-pick-list", { role: "listbox", "aria-label": "Objectives" });
      const search = h("input.pl-input", { type: "search", placeholder: "Name, paper, need, author or year", "aria-label": "Search objectives", autocomplete: "off" });
      const draw = () => this.list(list, found(this.objectives, search.value), search.value, close);
      search.addEventListener("input", draw);
      search.addEventListener("keydown", (event) => {
        if (event.key === "ArrowDown") { event.preventDefault(); list.querySelector("button")?.focus(); }
        if (event.key === "Enter") { event.preventDefault(); list.querySelector("button:not([aria-disabled])")?.click(); }
      });
      list.addEventListener("keydown", (event) => {
        const all = [...list.querySelectorAll("button")];
        const next = all.indexOf(document.activeElement) + { ArrowDown: 1, ArrowUp: -1 }[event.key];
        if (Number.isNaN(next)) return;
        event.preventDefault();
        (next < 0 ? search : all[Math.min(next, all.length - 1)]).focus();
      });
      draw();
      requestAnimationFrame(() => search.focus());
      return [search, list];
    });
    if (chosen) this.take(chosen);
  }

  list(place, objectives, words, close) {
    if (!objectives.length) return fill(place, empty("No objective fits", "Try fewer words."));
    const option = (one) => {
      const reason = this.unfit[one.name];
      return h("button.pl-pick-line", { type: "button", role: "option", "aria-selected": String(one.name === this.value), "aria-disabled": reason ? "true" : null, onclick: () => reason || close(one.name) },
        h("span.pl-row.between", h("b", one.title), fidelity(one)), h("span", one.summary), reason ? h("span.pl-pick-why", reason.detail) : needs(one));
    };
    const [usable, unfit] = [objectives.filter((one) => !this.unfit[one.name]), objectives.filter((one) => this.unfit[one.name])];
    if (words.trim()) return fill(place, [...usable, ...unfit].map(option));
    const recommended = usable.filter((one) => one.recommended);
    const rest = [...byFamily(usable.filter((one) => !one.recommended))];
    const group = (name, members) => (members.length ? h("div.pl-pick-group", { role: "group", "aria-label": name }, h("h3", name), members.map(option)) : null);
    return fill(place, group("To begin with", recommended), rest.map(([family, members]) => group(family, members)), group(`Need other data than what is chosen · ${unfit.length}`, unfit));
  }
}
