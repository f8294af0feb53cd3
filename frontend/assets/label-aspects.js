// Ratings of each response by each aspect of the question: digits fill one field after the other, or the pointer any. In a
// range of more than ten numbers a key begins to write one, and Enter ends it.

import { fill, h } from "./dom.js";
import { letter } from "./sides.js";

const MOST_BUTTONS = 10; // a wider range is typed
const FEW_BUTTONS = 6; // so many of two responses stand beside each other on a phone

export const RATE_KEYS = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"];
export const MINUS = "-";

// `onchange(values)` hears of every rating; values: {aspect: [number or null for each response, as shown]}.
export class Aspects {
  constructor(aspects, onchange) {
    this.aspects = aspects;
    this.onchange = onchange;
    this.element = h("section.pl-aspects", { "aria-label": "Ratings", hidden: !aspects.length });
    const look = () => this.element.classList.toggle("more", this.element.scrollHeight - this.element.scrollTop - this.element.clientHeight > 4);
    this.element.addEventListener("scroll", look, { passive: true });
    new ResizeObserver(look).observe(this.element);
    this.look = look; // whether there is more below than is seen
    this.values = {};
    this.n = 0;
    this.at = 0; // the field that a digit fills
  }

  show(n, values = null) {
    this.n = n;
    this.element.classList.toggle("pair", n === 2);
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
    return this.at < this.size;
  }

  // Whether some number that is typed may be below zero.
  get signed() {
    return this.aspects.some((aspect) => !isShort(aspect) && aspect.low < 0);
  }

  // What a digit means in the field that is asked for: the number itself where it can be, else its place in the range;
  // in a wide range it is the first sign of a number.
  digit(digit) {
    const { aspect } = this.field(this.at);
    if (!isShort(aspect)) return void this.write(String(digit));
    if (digit === MINUS) return;
    const value = keyed(aspect) ? digit : aspect.low + digit - 1;
    if (value >= aspect.low && value <= aspect.high) this.rate(this.at, value);
  }

  write(sign) {
    const input = this.element.querySelector(".asked input");
    input.value = sign;
    input.focus();
    input.setSelectionRange(sign.length, sign.length);
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
      h("div.pl-aspect", { style: { "--pl-fields": aspect.high - aspect.low < FEW_BUTTONS || !isShort(aspect) ? Math.min(2, this.n) : 1 } }, h("span.pl-aspect-title", aspect.title),
        Array.from({ length: this.n }, (_, response) => this.drawField(aspect, row * this.n + response, response)))));
    this.element.querySelector(".asked")?.scrollIntoView({ block: "nearest" });
    this.look();
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
    const input = h("input.pl-input.pl-rating-wide", { type: "text", inputmode: "decimal", maxlength: 12, "aria-label": name, placeholder: `${aspect.low} to ${aspect.high}`, value: value ?? "" });
    let taken = false; // drawing anew takes the focus away, which is no second answer
    const take = () => {
      if (taken) return;
      const number = input.value.trim() === "" ? NaN : Number(input.value.replace(",", "."));
      const fits = number >= aspect.low && number <= aspect.high;
      input.setAttribute("aria-invalid", String(!fits));
      taken = fits;
      if (fits) this.rate(at, number);
    };
    input.addEventListener("change", take);
    input.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" && event.key !== "Escape") return;
      event.preventDefault();
      if (event.key === "Enter") take();
      else input.blur();
    });
    return input;
  }
}

const isShort = ({ low, high }) => high - low < MOST_BUTTONS;
const keyed = ({ low, high }) => low >= 0 && high <= 9;
