// Tasks of lm-evaluation-harness: which, how many documents of each, and how many examples before each question.

import { field, h, showError } from "./dom.js";

// `told` as GET /harness has it, `values` as an evaluation or a run asks for it. value() is null where no task is named.
export function harnessForm(told, { values = null, onchange = () => {} } = {}) {
  const input = (value, more) => h("input", { type: "text", autocomplete: "off", value: value ?? "", disabled: !told.installed, oninput: onchange, ...more });
  const tasks = field("Tasks of lm-evaluation-harness", input(values?.tasks.join(", "), { placeholder: told.own_tasks.join(", ") || "none" }), { help: "Split by commas. They are measured on every checkpoint, and take their time." });
  const limit = field("Documents of each", input(values ? values.limit : 200, { inputmode: "decimal", placeholder: "all" }));
  const shots = field("Examples before each", input(values?.num_fewshot, { inputmode: "decimal", placeholder: "as the task says" }));
  const typed = (place) => place.querySelector("input").value.trim();
  const number = (place) => (typed(place) === "" ? null : Number.isNaN(Number(typed(place))) ? typed(place) : Number(typed(place)));
  const named = () => (told.installed ? typed(tasks).split(",").map((one) => one.trim()).filter(Boolean) : []);
  const places = { limit, num_fewshot: shots };
  return {
    element: h("div.pl-stack.tight", told.installed ? null : h("p.pl-muted", "Public benchmarks need lm-evaluation-harness. Whoever runs the server installs it in Plumbline's folder, there and on the workers: ", h("code.pl-mono", told.install)), h("div.pl-form", tasks, limit, shots)),
    named,
    value: () => (named().length ? { tasks: named(), limit: number(limit), num_fewshot: number(shots) } : null),
    clear: () => [tasks, limit, shots].forEach((one) => showError(one, "")),
    // `path` is the API's, without "harness.".
    fail: (path, why) => showError(places[path.split(".")[0]] || tasks, why),
  };
}
