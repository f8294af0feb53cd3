// Keyboard shortcuts: one table per page, silent inside text fields, shown by "?", changeable by the person.

import { button, dialog, h } from "./dom.js";

const STORE = "pl-keys";
const bindings = new Map(); // action -> {key, text, run, group}
const changed = read();

function read() {
  try {
    return JSON.parse(localStorage.getItem(STORE) || "{}");
  } catch {
    return {}; // storage is off or spoiled: the defaults hold
  }
}

// bind("tie", "t", "Tie", run, "Labelling"): `action` names it for ever, `key` is the default ("t", "1", "ArrowLeft",
// "Shift+Enter", "Control+Enter", "?"). Returns a function that takes it away again.
export function bind(action, key, text, run, group = "This page") {
  bindings.set(action, { key, text, run, group });
  return () => bindings.delete(action);
}

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
    if (keyOf(action) !== name || event.repeat) continue;
    event.preventDefault();
    binding.run(event);
    return;
  }
});

export function showHelp() {
  return dialog("Keyboard shortcuts", () => {
    const groups = Map.groupBy ? Map.groupBy(bindings, ([, binding]) => binding.group) : group();
    const sections = [...groups].map(([name, entries]) => h("section", h("h3", name), h("dl.pl-keys", entries.map(row))));
    return [sections, h("p", h("a", { href: "/reference" }, "API reference"), " for programs of your own")];
  });
}

function group() {
  const groups = new Map();
  for (const entry of bindings) groups.set(entry[1].group, [...(groups.get(entry[1].group) || []), entry]);
  return groups;
}

function row([action, binding]) {
  const shown = h("kbd", pretty(keyOf(action)));
  const change = button("Change", () => {
    shown.textContent = "press a key";
    addEventListener("keydown", (event) => {
      event.preventDefault();
      event.stopImmediatePropagation();
      if (event.key !== "Escape") remap(action, pressed(event));
      shown.textContent = pretty(keyOf(action));
    }, { once: true, capture: true });
  }, { kind: "small" });
  return [h("dt", shown), h("dd", h("span", binding.text), change)];
}

function remap(action, key) {
  // Whoever had the key gets the one that becomes free, so that nothing is out of reach.
  const other = [...bindings.keys()].find((name) => name !== action && keyOf(name) === key);
  if (other) changed[other] = keyOf(action);
  changed[action] = key;
  try {
    localStorage.setItem(STORE, JSON.stringify(changed));
  } catch {
    // Storage is off: the change lasts until the page is left.
  }
  dispatchEvent(new CustomEvent("pl-keys"));
}
