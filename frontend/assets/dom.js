// Building what is seen. Text always goes in as text; markup comes only from the server's own renderer, through html().

import { ApiError } from "./api.js";
import { colorCode } from "./code.js";
import { drawFormulas } from "./formula.js";

// h("a.pl-button.primary", { href: "/runs", onclick: f, hidden: done }, "All runs", icon)
// Attributes: on… listens, class adds, style takes an object, dataset too, booleans set or leave out, null leaves out.
// Children: elements, text, numbers, arrays of them; null, undefined and false are nothing.
const SVG = new Set(["svg", "path", "circle", "line", "rect", "polyline", "polygon", "g", "text", "title"]);

export function h(selector, attributes, ...children) {
  if (attributes === null || typeof attributes !== "object" || attributes instanceof Node || Array.isArray(attributes)) {
    children.unshift(attributes);
    attributes = {};
  }
  const [tag, ...classes] = selector.split(".");
  const vector = SVG.has(tag) && tag !== "title" && (tag !== "text" || attributes.x !== undefined);
  const element = vector ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag || "div");
  if (classes.length) element.setAttribute("class", classes.join(" "));
  for (const [name, value] of Object.entries(attributes)) set(element, name, value);
  add(element, children);
  return element;
}

function set(element, name, value) {
  if (value === null || value === undefined || value === false) return;
  if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
  else if (name === "class") element.classList.add(...String(value).split(" ").filter(Boolean));
  else if (name === "style") Object.entries(value).forEach(([key, one]) => element.style.setProperty(key, one));
  else if (name === "dataset") Object.assign(element.dataset, value);
  else if (name === "value" || name === "checked" || name === "selected" || name === "indeterminate") element[name] = value;
  else if (name === "href" || name === "src") element.setAttribute(name, safeAddress(value));
  else if (name === "innerHTML" || name === "outerHTML" || name === "srcdoc") throw new TypeError(`${name}: use html()`);
  else element.setAttribute(name, value === true ? "" : value);
}

export function add(element, ...children) {
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || child === false) continue;
    element.append(child instanceof Node ? child : String(child));
  }
  return element;
}

// Put new children in place of the old ones.
export function fill(element, ...children) {
  element.replaceChildren();
  element.removeAttribute("aria-busy");
  return add(element, ...children);
}

// Only addresses of the web, of this site or of this page; anything that could run is dropped.
export function safeAddress(address) {
  const text = String(address);
  const parsed = URL.canParse(text, location.href) ? new URL(text, location.href) : null;
  return parsed && ["http:", "https:", "blob:"].includes(parsed.protocol) ? text : "#";
}

// The one place where markup is inserted: `rendered` is the `html` field that the server's renderer wrote. The formulas
// that it marked are drawn, and code is colored.
export function html(rendered, selector = "div.pl-prose") {
  const element = h(selector);
  element.innerHTML = rendered; // the only innerHTML of the project; a test holds this
  drawFormulas(element);
  colorCode(element);
  return element;
}

// Plain text as people wrote it, line breaks kept.
export const prose = (text) => h("div.pl-prose.pl-plain", text);

export const badge = (text, kind = "") => h(`span.pl-badge${kind ? `.${kind}` : ""}`, text);

// A run's, import's or evaluation's state: word, dot and color.
const STATE_KINDS = { succeeded: "good", failed: "bad", lost: "bad", running: "live", starting: "live", stopping: "live" };
export const stateBadge = (state) => badge(state, `state.${STATE_KINDS[state] || "idle"}`);

export function button(text, onclick, { kind = "", key = null, disabled = null, type = "button", title = null } = {}) {
  // A disabled button says why: pass the reason.
  const element = h("button.pl-button", { type, class: kind, title: disabled || title, "aria-disabled": disabled ? "true" : null });
  add(element, text, key && h("kbd", key));
  element.addEventListener("click", (event) => {
    if (element.getAttribute("aria-disabled") === "true") {
      event.preventDefault();
      if (element.title) toast(element.title);
      return;
    }
    if (onclick) onclick(event);
  });
  return element;
}

export const link = (text, href, kind = "") => h("a", { href, class: kind }, text);

// The name of a checkpoint in one line: where it is too long its run's name is shortened, and the step stays.
export function named(name, selector = "span") {
  const [, run, step] = name.match(/^(.*)( · step \d+)$/s) || [null, name, null];
  return h(`${selector}.pl-named`, { title: name }, h("span.pl-cut", run), step && h("span.pl-named-step", step));
}

export function progress(done, total, label = "Progress") {
  const share = total > 0 ? Math.min(1, done / total) : 0;
  const bar = h("div.pl-progress", { role: "progressbar", "aria-label": label, "aria-valuemin": 0, "aria-valuemax": 100 });
  bar.setAttribute("aria-valuenow", Math.round(share * 100));
  bar.append(h("div", { style: { width: `${share * 100}%` } }));
  return bar;
}

export const skeleton = (lines = 4) =>
  h("div.pl-skeletons", { "aria-busy": "true", "aria-label": "Loading" }, Array.from({ length: lines }, () => h("div.pl-skeleton")));

export const empty = (title, text, ...actions) =>
  h("div.pl-empty", h("h2", title), text && h("p", text), actions.length ? h("div.pl-row.center", actions) : null);

// Any thrown value as a card with cause, remedy and a way on.
export function errorCard(error, retry = null) {
  const known = error instanceof ApiError;
  if (!known) console.error(error);
  return h(
    "div.pl-error",
    { role: "alert" },
    h("strong", known ? error.title : "The page could not be drawn"),
    h("p", known ? error.detail : "Something in this page failed. Reloading usually helps."),
    known && error.remedy && h("p.pl-muted", error.remedy),
    retry && h("div.pl-row", button("Try again", retry)),
  );
}

// A table with a caption for screen readers. columns: [{title, cell: (row) => child, kind: "number"|"", hint}].
export function table(caption, columns, rows, { onrow = null, none = "Nothing here yet." } = {}) {
  const head = columns.map((column) => h("th", { scope: "col", class: column.kind, title: column.hint }, column.title));
  const body = rows.map((row) => {
    const line = h("tr", columns.map((column) => h("td", { class: column.kind, "data-title": column.title }, column.cell(row))));
    if (onrow) {
      line.classList.add("clickable");
      line.addEventListener("click", (event) => event.target.closest("a,button,input,label") || onrow(row, event));
    }
    return line;
  });
  if (!body.length) body.push(h("tr", h("td.pl-muted", { colspan: columns.length }, none)));
  return h("div.pl-table-scroll", h("table.pl-table", h("caption.pl-hidden", caption), h("thead", h("tr", head)), h("tbody", body)));
}

// A labelled input with its help and its error: field("Name", h("input"), {help}); showError(field, "…").
export function field(label, input, { help = null } = {}) {
  const id = input.id || `pl-field-${(field.count = (field.count || 0) + 1)}`;
  input.id = id;
  input.classList.add("pl-input");
  const notes = [help && h("small.pl-help", { id: `${id}-help` }, help), h("small.pl-field-error", { id: `${id}-error`, role: "alert" })];
  input.setAttribute("aria-describedby", [help && `${id}-help`, `${id}-error`].filter(Boolean).join(" "));
  return h("div.pl-field", h("label", { for: id }, label), input, notes);
}

export function showError(fieldElement, text) {
  fieldElement.classList.toggle("wrong", Boolean(text));
  fieldElement.querySelector(".pl-field-error").textContent = text || "";
  const input = fieldElement.querySelector(".pl-input");
  if (text) input?.setAttribute("aria-invalid", "true");
  else input?.removeAttribute("aria-invalid");
}

// A short message at the bottom; with an action ("Undo") it stays longer.
export function toast(text, { kind = "", action = null, onaction = null, seconds = null } = {}) {
  let place = document.getElementById("pl-toasts");
  if (!place) {
    place = h("div.pl-toasts", { id: "pl-toasts", role: "status", "aria-live": "polite" });
    document.body.append(place);
  }
  const note = h("div.pl-toast", { class: kind }, h("span", text));
  const remove = () => note.remove();
  if (action) note.append(button(action, () => { remove(); onaction(); }));
  place.append(note);
  while (place.children.length > 3) place.firstChild.remove();
  setTimeout(remove, (seconds || (action ? 6 : 4)) * 1000);
  return remove;
}

export const toastError = (error) =>
  toast(error instanceof ApiError ? [error.detail, error.remedy].filter(Boolean).join(" ") : "That did not work.", { kind: "bad", seconds: 7 });

// A modal dialog; resolves to the value given to close(), or null when dismissed. A `wide` one is for long texts.
export function dialog(title, build, { wide = false } = {}) {
  return new Promise((resolve) => {
    const box = h("dialog.pl-dialog", { "aria-label": title, class: wide ? "wide" : null });
    const before = document.activeElement;
    const close = (value = null) => {
      box.close();
      box.remove();
      if (before && before.focus) before.focus();
      resolve(value);
    };
    box.addEventListener("cancel", (event) => { event.preventDefault(); close(); });
    box.addEventListener("click", (event) => event.target === box && close());
    const shut = h("button.pl-tool", { type: "button", "aria-label": "Close", onclick: () => close() }, "✕");
    add(box, h("div.pl-dialog-head", h("h2", title), shut), h("div.pl-dialog-body", build(close)));
    document.body.append(box);
    box.showModal();
  });
}

// Asked only before what cannot be undone.
export const confirm = (title, text, verb) =>
  dialog(title, (close) => [
    h("p", text),
    h("div.pl-row.end", button(verb.startsWith("Cancel") ? "Go back" : "Cancel", () => close(false)), button(verb, () => close(true), { kind: "danger" })),
  ]).then(Boolean);

export async function copy(text) {
  await navigator.clipboard.writeText(text);
  toast("Copied");
}
