// The aspects that each response is rated for, beside the question itself: a title and a scale each.

import { button, fill, h } from "./dom.js";

export const MOST = 10;
const USUAL = ["Helpful", "Correct", "Harmless", "Clear"];

// const editor = aspects([{name, title, low, high}], onchange); editor.element, editor.value(), editor.fail(rest, why)
export function aspects(start, onchange) {
  let rows = (start || []).map(row);
  const place = h("div.pl-stack.tight");
  const failure = h("small.pl-field-error", { role: "alert" });
  const chips = h("div.pl-row");
  const say = (why) => { failure.textContent = why || ""; };
  const changed = () => { say(""); draw(); onchange(); };

  function row({ name = null, title = "", low = 1, high = 5 } = {}) {
    const number = (value, label) => h("input.pl-input.pl-aspect-end", { type: "number", step: 1, value, "aria-label": label, oninput: () => { say(""); onchange(); } });
    const one = { name, title: h("input.pl-input", { maxlength: 100, value: title, placeholder: "What is rated", "aria-label": "Aspect", oninput: () => { say(""); onchange(); } }), low: number(low, "Lowest rating"), high: number(high, "Highest rating") };
    const out = button("Remove", () => { rows = rows.filter((other) => other !== one); changed(); }, { kind: "small quiet" });
    one.element = h("div.pl-aspect", one.title, h("span.pl-row.pl-aspect-scale", h("span.pl-muted", "from"), one.low, h("span.pl-muted", "to"), one.high), out);
    return one;
  }
  function draw() {
    const taken = rows.map((one) => one.title.value.trim().toLowerCase());
    const plus = (title, words) => button(words, () => { const made = row({ title }); rows.push(made); changed(); if (!title) made.title.focus(); }, { kind: "small", disabled: rows.length >= MOST ? `At most ${MOST} aspects.` : null });
    fill(place, rows.map((one) => one.element));
    fill(chips, USUAL.filter((title) => !taken.includes(title.toLowerCase())).map((title) => plus(title, `+ ${title}`)), plus("", "+ Another"));
  }
  draw();
  const element = h("div.pl-field", h("span.pl-label", "Ratings beside it"), h("small.pl-help", "Each response gets a number for each of these. Every rating takes time: few are better."), place, chips, failure);
  return {
    element,
    value: () => named(rows.map((one) => ({ name: one.name, title: one.title.value.trim(), low: whole(one.low), high: whole(one.high) }))),
    fail(rest, why) {
      const at = Number.parseInt(String(rest), 10);
      const which = rows[at]?.title.value.trim();
      say(why && (which ? `“${which}”: ${why}` : why));
      return true;
    },
  };
}

const whole = (input) => (input.value.trim() === "" ? null : Number(input.value));

// Labels keep the name for ever; it is made of the title once, and stays when the title is written otherwise.
function named(rows) {
  const taken = new Set(rows.map((one) => one.name).filter(Boolean));
  return rows.map((one) => {
    if (one.name) return one;
    const plain = one.title.toLowerCase().normalize("NFKD").replace(/[^a-z0-9]+/g, "_").replace(/^_+|_+$/g, "").slice(0, 40) || "aspect";
    let name = plain;
    for (let next = 2; taken.has(name); next += 1) name = `${plain}_${next}`;
    taken.add(name);
    return { ...one, name };
  });
}
