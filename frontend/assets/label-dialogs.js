// What opens over the card: reasons to skip, the editor of a response, the guidelines.

import { add, button, dialog, h, html } from "./dom.js";
import { letter } from "./sides.js";

const REASONS = [
  "I cannot judge this",
  "The prompt makes no sense",
  "A response is broken",
  "In a language I do not read",
  "Harmful or personal content",
];

// Resolves to a reason, which may be empty; null: not skipped. A digit chooses a reason at once, Enter skips without one.
export function askReason() {
  return dialog("Skip this one", (close) => {
    const reasons = REASONS.map((reason, place) => button(reason, () => close({ reason }), { key: String(place + 1) }));
    const input = h("input.pl-input", { maxlength: 500, "aria-label": "Another reason", placeholder: "Another reason" });
    const form = h("form.pl-row", { onsubmit: (event) => { event.preventDefault(); close({ reason: input.value.trim() }); } });
    add(form, h("div.pl-grow", input), h("kbd", "O"), button("Skip", null, { kind: "primary", type: "submit" }));
    const plain = button("Without a reason", () => close({ reason: "" }), { key: "Enter", kind: "primary" });
    plain.autofocus = true;
    const body = h("div.pl-stack", { role: "group", "aria-label": "Reasons" }, plain, h("div.pl-reasons", reasons), form);
    body.addEventListener("keydown", (event) => {
      if (event.target === input) return;
      if (REASONS[Number(event.key) - 1]) close({ reason: REASONS[Number(event.key) - 1] });
      else if (event.key === "6" || event.key.toLowerCase() === "o") input.focus();
      else return;
      event.preventDefault();
    });
    return body;
  }).then((answer) => answer && answer.reason);
}

// Which of `n` responses to edit; null: none. Its letter or its number chooses.
export function askWhich(n) {
  if (n === 1) return Promise.resolve(0);
  return dialog("Edit which response?", (close) => {
    const choices = Array.from({ length: n }, (_, one) => button(`Response ${letter(one)}`, () => close({ one }), { key: letter(one) }));
    choices[0].autofocus = true;
    const body = h("div.pl-row", { role: "group", "aria-label": "Responses" }, choices);
    body.addEventListener("keydown", (event) => {
      const one = event.key.length === 1 ? (/\d/.test(event.key) ? Number(event.key) - 1 : event.key.toUpperCase().charCodeAt(0) - 65) : -1;
      if (one < 0 || one >= n) return;
      event.preventDefault();
      close({ one });
    });
    return body;
  }).then((answer) => answer && answer.one);
}

// Resolves to the text, null when it is given up, undefined when the dialog was only left: then the draft stays.
// `ondraft(text)` hears of every stroke.
export async function edit(which, text, ondraft) {
  const answer = await dialog(`Edit response ${which}`, (close) => {
    const area = h("textarea.pl-input.pl-edit", { autofocus: true, maxlength: 100_000, "aria-label": `Response ${which}, edited`, spellcheck: "true" });
    area.value = text;
    area.addEventListener("input", () => ondraft(area.value));
    const save = () => area.value.trim() && close({ text: area.value });
    area.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
      event.preventDefault();
      save();
    });
    return [
      h("p.pl-muted", "Write the response as it should have been. Your edit is sent with your answer, as a response of its own that is better than this one."),
      area,
      h("div.pl-row.end", button("Discard the edit", () => close({ text: null }), { kind: "quiet" }), button("Keep the edit", save, { kind: "primary", key: "Ctrl Enter" })),
    ];
  }, { wide: true });
  return answer ? answer.text : undefined;
}

// The task's guidelines as its makers wrote them.
export const showGuidelines = (task) =>
  dialog("Guidelines", (close) => {
    const go = button("Start", () => close(), { kind: "primary", key: "Enter" });
    go.autofocus = true;
    return [html(task.guidelines_html), h("div.pl-row.end", go)];
  }, { wide: true });

const SEEN = "pl-guidelines-";

// Once for each person and text: at the first visit, and when the guidelines have changed.
export async function welcome(task, person) {
  if (!task.guidelines.trim()) return;
  const [place, mark] = [`${SEEN}${person}-${task.id}`, fingerprint(task.guidelines)];
  try {
    if (localStorage.getItem(place) === mark) return;
    localStorage.setItem(place, mark);
  } catch {
    // Storage is off: they are shown at every visit.
  }
  await showGuidelines(task);
}

function fingerprint(text) {
  let sum = 0;
  for (let at = 0; at < text.length; at += 1) sum = (sum * 31 + text.charCodeAt(at)) | 0;
  return `${text.length}:${sum}`;
}
