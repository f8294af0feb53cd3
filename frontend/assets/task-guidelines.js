// Guidelines in Markdown: written on one side, seen on the other as annotators will, drawn by the server's safe renderer.

import { post } from "./api.js";
import { button, errorCard, fill, h, html, skeleton } from "./dom.js";

export const MOST = 100_000; // characters
const OUTLINE = `## What to judge

Which response would help the person more?

## When in doubt

1. A wrong fact weighs more than a clumsy sentence.
2. Do not prefer the longer response for its length.
3. Say “tie” only if you would not mind which one you got.

## Examples

- …
`;

// const editor = guidelines("…", onchange); editor.element, editor.value()
export function guidelines(text, onchange) {
  const area = h("textarea.pl-input", { rows: 12, maxlength: MOST, "aria-label": "Guidelines in Markdown", placeholder: "What makes a response better here? Annotators read this before they begin, and with G at any time.", oninput: onchange });
  area.value = text || "";
  const seen = h("div.pl-guidelines-seen", { hidden: true, "aria-live": "polite" });
  const outline = button("Begin with an outline", () => { area.value = area.value.trim() ? `${area.value.trimEnd()}\n\n${OUTLINE}` : OUTLINE; area.focus(); onchange(); }, { kind: "small quiet" });
  const tabs = ["Write", "Preview"].map((name) => h("button", { type: "button", "aria-pressed": String(name === "Write"), onclick: () => choose(name) }, name));
  function choose(name) {
    tabs.forEach((one) => one.setAttribute("aria-pressed", String(one.textContent === name)));
    area.hidden = name === "Preview";
    seen.hidden = !area.hidden;
    outline.hidden = area.hidden;
    if (area.hidden) draw();
  }
  async function draw() {
    if (!area.value.trim()) return void fill(seen, h("p.pl-muted", "Nothing is written yet."));
    fill(seen, skeleton(3));
    try {
      const { html: rendered } = await post("/guidelines/preview", { guidelines: area.value });
      fill(seen, html(rendered));
    } catch (error) {
      fill(seen, errorCard(error, draw));
    }
  }
  const element = h("div.pl-stack.tight", h("div.pl-row.between", h("div.pl-segments", { role: "group", "aria-label": "Guidelines" }, tabs), outline), area, seen);
  return { element, value: () => area.value };
}
