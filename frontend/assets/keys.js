// Keyboard shortcuts: one table per page, silent inside text fields, shown by "?", changeable by the person.

import { button, dialog, fill, h } from "./dom.js";

const STORE = "pl-keys";
const bindings = new Map(); // action -> {key, text, run, group, mode}
let changed = read();
let mode = null;

function read() {
  try {
    return JSON.parse(localStorage.getItem(STORE) || "{}");
  } catch {
    return {}; // storage is off or spoiled: the defaults hold
  }
}

// bind("tie", "t", "Tie", run, "Labelling"): `action` names it for ever, `key` is the default ("t", "1", "ArrowLeft",
// "Shift+Enter", "Control+Enter", "?"). With a `mode` it works while the page is in that mode, and may share its key with
// an action of another one. Returns a function that takes it away again.
export function bind(action, key, text, run, group = "This page", inMode = null) {
  bindings.set(action, { key, text, run, group, mode: inMode });
  return () => bindings.delete(action);
}

export const enterMode = (name) => { mode = name; };

// The key that starts `action` now, as a hint on its button.
export const keyOf = (action) => changed[action] || (bindings.get(action) || {}).key || "";

export const hint = (action) => h("kbd", pretty(keyOf(action)));

const NAMES = { ArrowLeft: "←", ArrowRight: "→", ArrowUp: "↑", ArrowDown: "↓", " ": "Space", Escape: "Esc", Control: "Ctrl" };
export const pretty = (key) => key.split(/(?<=.)\+/).map((part) => NAMES[part] || (part.length === 1 ? part.toUpperCase() : part)).join(" ");

// What was pressed, in the words of bind().
export function pressed(event) {
  const held = [event.ctrlKey && "Control", event.metaKey && "Meta", event.altKey && "Alt"].filter(Boolean);
  if (event.shiftKey && event.key.length > 1) held.push("Shift");
  return [...held, event.key.length === 1 ? event.key.toLowerCase() : event.key].join("+");
}

const typing = (target) =>
  target instanceof Element && Boolean(target.closest("input:not([type=checkbox]):not([type=radio]):not([type=range]),textarea,select,[contenteditable=true]"));

document.addEventListener("keydown", (event) => {
  if (event.defaultPrevented || event.isComposing || document.querySelector("dialog[open]")) return;
  const name = pressed(event);
  if (typing(event.target) && !name.startsWith("Control+") && !name.startsWith("Meta+")) return;
  // A focused button or link keeps Enter and Space for itself.
  if ((name === "Enter" || name === " ") && event.target instanceof Element && event.target.closest("a,button,summary,[role=button]")) return;
  for (const [action, binding] of bindings) {
    if (keyOf(action) !== name || event.repeat || (binding.mode !== null && binding.mode !== mode)) continue;
    event.preventDefault();
    binding.run(event);
    return;
  }
});

export function showHelp() {
  return dialog("Keyboard shortcuts", () => {
    const told = h("p.pl-keys-told", { role: "status" });
    const list = h("div.pl-stack");
    const draw = () => fill(list, [...grouped()].map(([name, entries]) => h("section", h("h3", name), h("dl.pl-keys", entries.map((entry) => row(entry, draw, told))))));
    const reset = button("Reset all keys", () => {
      changed = {};
      store();
      draw();
      told.textContent = "All keys are as they were at first.";
    }, { kind: "small" });
    draw();
    return [told, list, h("div.pl-row.between", h("span", h("a", { href: "/reference" }, "API reference"), " for programs of your own"), reset)];
  });
}

function grouped() {
  const groups = new Map();
  for (const entry of bindings) groups.set(entry[1].group, [...(groups.get(entry[1].group) || []), entry]);
  return groups;
}

function row([action, binding], redraw, told) {
  const shown = h("kbd", pretty(keyOf(action)));
  const change = button("Change", () => {
    shown.textContent = "press a key";
    const listen = (event) => {
      if (["Shift", "Control", "Alt", "Meta", "AltGraph", "CapsLock"].includes(event.key)) return; // more is to come
      removeEventListener("keydown", listen, true);
      event.preventDefault();
      event.stopImmediatePropagation();
      told.textContent = event.key === "Escape" ? "Nothing changed." : remap(action, pressed(event));
      redraw();
    };
    addEventListener("keydown", listen, true);
  }, { kind: "small" });
  change.setAttribute("aria-label", `Change the key for ${binding.text}`);
  return [h("dt", shown), h("dd", h("span", binding.text), change)];
}

const KEPT = { Tab: "moves from field to field", Enter: "presses buttons", " ": "presses buttons" };

// Give `action` the key; what that means for others is told.
function remap(action, key) {
  if (Object.hasOwn(KEPT, key) && bindings.get(action).key !== key) return `${pretty(key)} ${KEPT[key]} and keeps doing so. Choose another key.`;
  const meets = (one) => one.mode === null || bindings.get(action).mode === null || one.mode === bindings.get(action).mode;
  // Whoever had the key gets the one that becomes free, so that nothing is out of reach.
  const [other, taken] = [...bindings].find(([name, one]) => name !== action && keyOf(name) === key && meets(one)) || [];
  const before = keyOf(action);
  if (other) changed[other] = before;
  changed[action] = key;
  store();
  const now = `${bindings.get(action).text}: ${pretty(key)}.`;
  return other ? `${now} That was the key of “${taken.text}”, which is ${pretty(before)} now.` : now;
}

function store() {
  try {
    localStorage.setItem(STORE, JSON.stringify(changed));
  } catch {
    // Storage is off: the change lasts until the page is left.
  }
  dispatchEvent(new CustomEvent("pl-keys"));
}
