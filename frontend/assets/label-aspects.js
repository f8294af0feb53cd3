// Ratings of each response by each aspect of the question: digits fill one field after the other, or the pointer any.

import { fill, h } from "./dom.js";
import { letter } from "./sides.js";

const MOST_BUTTONS = 10; // a wider range is typed

export const RATE_KEYS = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"];

// `onchange(values)` hears of every rating; values: {aspect: [number or null for each response, as shown]}.
export class Aspects {
  constructor(aspects, onchange) {
    this.aspects = aspects;
    this.onchange = onchange;
    this.element = h("section.pl-aspects", { "aria-label": "Ratings", hidden: !aspects.length });
    this.values = {};
    this.n = 0;
    this.at = 0; // the field that a digit fills
  }

  show(n, values = null) {
    this.n = n;
    this.values = Object.fromEntries(this.aspects.map(({ name }) => [name, (values && values[name] && values[name].length === n && [...values[name]]) || new Array(n).fill(null)]));
    this.at = this.open();
    this.draw();
  }

  // Fields in the order of reading: the responses one after the other, aspect by aspect.
  field(at) {
    return { aspect: this.aspects[Math.floor(at / this.n)], response: at % this.n };
  }

  get size() {
    return this.aspects.length * this.n;
  }

  // The first field that is empty; behind the last one when there is none.
  open(from = 0) {
    for (let at = from; at < this.size; at += 1) {
      const { aspect, response } = this.field(at);
      if (this.values[aspect.name][response] === null) return at;
    }
    return from ? this.open() : this.size;
  }

  get complete() {
    return this.open() >= this.size;
  }

  // Whether digits rate now.
  get asking() {
    return this.at < this.size && isShort(this.field(this.at).aspect);
  }

  // What a digit means in the field that is asked for: the number itself where it can be, else its place in the range.
  digit(digit) {
    const { aspect } = this.field(this.at);
    const value = keyed(aspect) ? digit : aspect.low + digit - 1;
    if (value >= aspect.low && value <= aspect.high) this.rate(this.at, value);
  }

  rate(at, value) {
    const { aspect, response } = this.field(at);
    this.values[aspect.name][response] = value;
    this.at = this.open(at + 1);
    this.changed();
  }

  back() {
    if (!this.aspects.length || (this.at === 0 && this.size)) return;
    this.at = Math.min(this.at, this.size) - 1;
    const { aspect, response } = this.field(this.at);
    this.values[aspect.name][response] = null;
    this.changed();
  }

  changed() {
    this.draw();
    this.onchange(this.values);
  }

  // To the first field that is empty.
  remind() {
    this.at = this.open();
    this.draw();
    this.element.querySelector(".asked input")?.focus();
  }

  draw() {
    fill(this.element, this.aspects.map((aspect, row) =>
      h("div.pl-aspect", h("span.pl-aspect-title", aspect.title),
        Array.from({ length: this.n }, (_, response) => this.drawField(aspect, row * this.n + response, response)))));
    this.element.querySelector(".asked")?.scrollIntoView({ block: "nearest" });
  }

  drawField(aspect, at, response) {
    const name = this.n === 1 ? aspect.title : `${aspect.title} of ${letter(response)}`;
    const value = this.values[aspect.name][response];
    const asked = at === this.at;
    const inner = isShort(aspect) ? this.drawButtons(aspect, at, value) : this.drawInput(aspect, at, value, name);
    return h("div.pl-aspect-field", { role: "group", "aria-label": `${name}, ${aspect.low} to ${aspect.high}`, class: asked ? "asked" : null },
      this.n > 1 && h("span.pl-aspect-of", letter(response)), inner);
  }

  drawButtons(aspect, at, value) {
    return Array.from({ length: aspect.high - aspect.low + 1 }, (_, place) => {
      const number = aspect.low + place;
      return h("button.pl-rating", { type: "button", "aria-pressed": String(number === value), onclick: () => this.rate(at, number) }, String(number));
    });
  }

  drawInput(aspect, at, value, name) {
    const input = h("input.pl-input.pl-rating-wide", { type: "number", min: aspect.low, max: aspect.high, step: "any", "aria-label": name, value: value ?? "" });
    input.addEventListener("change", () => {
      const number = input.value === "" ? NaN : Number(input.value);
      if (number >= aspect.low && number <= aspect.high) this.rate(at, number);
      else input.setAttribute("aria-invalid", "true");
    });
    return input;
  }
}

const isShort = ({ low, high }) => high - low < MOST_BUTTONS;
const keyed = ({ low, high }) => low >= 0 && high <= 9;
