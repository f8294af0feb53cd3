// How a run is checked for regressions: which prompt checks, how far anything may fall, and tasks of a harness.

import { get } from "./api.js";
import { field, h, link, showError } from "./dom.js";
import { count, plural } from "./format.js";
import { harnessForm } from "./harness-form.js";

export const materials = async () => {
  const [checks, harness] = await Promise.all([get("/prompt-check-categories"), get("/harness")]);
  return { ...checks, harness };
};

// `found` as materials() gives it, `values` as a run or a former check has them.
export function guardForm(found, { values = {}, onchange = () => {} } = {}) {
  const chosenOnes = () => boxes.filter((box) => box.checked).map((box) => box.value);
  // Without any category there are tasks alone; without tasks too, nothing.
  const tell = () => { nothing.textContent = boxes.length && !chosenOnes().length ? (tasks.named().length ? "No prompt check is asked: the tasks alone decide." : `Tick a category${found.harness.installed ? ", or name tasks below" : ""}.`) : ""; };
  const choose = () => {
    tell();
    onchange();
  };
  const boxes = found.categories.map((one) => h("input", { type: "checkbox", value: one.category, checked: values.categories !== null && (!values.categories?.length || values.categories.includes(one.category)), onchange: choose }));
  const numeric = (name, value) => h("input", { type: "text", inputmode: "decimal", autocomplete: "off", value, name, oninput: onchange });
  const margin = field("Margin, in points", numeric("margin", 100 * (values.margin ?? 0.02)), { help: "A fall by no more than this is no harm." });
  const longest = field("Longest answer, in tokens", numeric("longest", values.sampling?.max_new_tokens ?? 256), { help: "Answers take the likeliest token each time." });
  const tasks = harnessForm(found.harness, { values: values.harness, onchange: choose });
  const general = h("div.pl-field", h("small.pl-field-error", { role: "alert" }));
  const read = (place) => {
    const typed = place.querySelector("input").value.trim();
    return typed === "" ? null : Number.isNaN(Number(typed)) ? typed : Number(typed);
  };
  const nothing = h("p.pl-muted.pl-note.pl-when-filled", { "aria-live": "polite" });
  const places = { margin, sampling: longest };
  const none = h("div.pl-card.warn.pl-note", "There is no prompt check yet. ", link("Write or import some", "/prompt-checks"), " that a good checkpoint passes.");
  const some = h("fieldset.pl-fieldset", h("legend", "Prompt checks"), found.categories.map((one, place) =>
    h("label.pl-check", boxes[place], h("span", one.category, " ", h("span.pl-muted", words(one))))));
  tell();
  return {
    element: h("div.pl-stack.tight", found.categories.length ? [some, nothing] : none, h("div.pl-form", margin, longest), tasks.element, general),
    value() {
      const chosen = chosenOnes();
      const points = read(margin);
      return {
        categories: chosen.length === boxes.length ? [] : chosen.length ? chosen : null,
        margin: typeof points === "number" ? points / 100 : points,
        sampling: { temperature: 0, top_p: 1, max_new_tokens: read(longest) },
        harness: tasks.value(),
      };
    },
    clear() {
      tasks.clear();
      [...Object.values(places), general].forEach((one) => showError(one, ""));
    },
    fail(path, why) {
      if (path.startsWith("harness") && found.harness.installed) tasks.fail(path.slice("harness.".length), why);
      else showError(places[path.split(".")[0]] || general, why);
      return true;
    },
  };
}

const words = (one) => [plural(one.prompts, "prompt"), one.with_rules ? `${count(one.with_rules)} with rules` : null, one.refuse ? `${count(one.refuse)} to be refused` : null].filter(Boolean).join(" · ");
