// How a run is checked for regressions: which prompt checks, how far anything may fall, and tasks of a harness.

import { get } from "./api.js";
import { field, h, link, showError } from "./dom.js";
import { count, plural } from "./format.js";

export const materials = async () => {
  const [checks, harness] = await Promise.all([get("/prompt-check-categories"), get("/harness")]);
  return { ...checks, harness };
};

// `found` as materials() gives it, `values` as a run or a former check has them.
export function guardForm(found, { values = {}, onchange = () => {} } = {}) {
  // The last category stays: without any the API would take them all.
  const chosenOnes = () => boxes.filter((box) => box.checked).map((box) => box.value);
  const choose = (event) => {
    if (!chosenOnes().length) event.target.checked = true;
    onchange();
  };
  const boxes = found.categories.map((one) => h("input", { type: "checkbox", value: one.category, checked: !values.categories?.length || values.categories.includes(one.category), onchange: choose }));
  const numeric = (name, value, more = {}) => h("input", { type: "text", inputmode: "decimal", autocomplete: "off", value: value ?? "", name, oninput: onchange, ...more });
  const margin = field("Margin, in points", numeric("margin", 100 * (values.margin ?? 0.02)), { help: "A fall by no more than this is no harm." });
  const longest = field("Longest answer, in tokens", numeric("longest", values.sampling?.max_new_tokens ?? 256), { help: "Answers take the likeliest token each time." });
  const tasks = field("Tasks of lm-evaluation-harness", h("input", { value: (values.harness?.tasks || []).join(", "), autocomplete: "off", oninput: onchange, placeholder: found.harness.own_tasks.join(", ") || "none" }), { help: "Split by commas. They are measured on both checkpoints, and take their time." });
  const limit = field("Documents of each", numeric("limit", values.harness?.limit ?? 200, { placeholder: "all" }));
  const shots = field("Examples before each", numeric("shots", values.harness?.num_fewshot, { placeholder: "as the task says" }));
  const general = h("div.pl-field", h("small.pl-field-error", { role: "alert" }));
  const read = (place) => {
    const typed = place.querySelector("input").value.trim();
    return typed === "" ? null : Number.isNaN(Number(typed)) ? typed : Number(typed);
  };
  const places = { margin, sampling: longest, harness: tasks };
  const none = h("div.pl-card.warn.pl-note", "There is no prompt check yet. ", link("Write or import some", "/prompt-checks"), " that a good checkpoint passes.");
  const some = h("fieldset.pl-field", h("legend", "Prompt checks"), found.categories.map((one, place) =>
    h("label.pl-check", boxes[place], h("span", one.category, " ", h("span.pl-muted", words(one))))));
  return {
    element: h("div.pl-stack.tight", found.categories.length ? some : none, h("div.pl-form", margin, longest),
      found.harness.installed ? h("div.pl-form", tasks, limit, shots) : h("p.pl-muted", "Public benchmarks need lm-evaluation-harness on the server: ", h("code.pl-mono", found.harness.install)), general),
    value() {
      const chosen = chosenOnes();
      const named = tasks.querySelector("input").value.split(",").map((one) => one.trim()).filter(Boolean);
      const points = read(margin);
      return {
        categories: chosen.length === boxes.length ? [] : chosen,
        margin: typeof points === "number" ? points / 100 : points,
        sampling: { temperature: 0, top_p: 1, max_new_tokens: read(longest) },
        harness: named.length ? { tasks: named, limit: read(limit), num_fewshot: read(shots) } : null,
      };
    },
    clear: () => [...Object.values(places), general].forEach((one) => showError(one, "")),
    fail(path, why) {
      showError(places[path.split(".")[0]] || general, why);
      return true;
    },
  };
}

const words = (one) => [plural(one.prompts, "prompt"), one.with_rules ? `${count(one.with_rules)} with rules` : null, one.refuse ? `${count(one.refuse)} to be refused` : null].filter(Boolean).join(" · ");
