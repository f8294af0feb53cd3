// Every labelling task: what it asks of which dataset, how far it is, until when.

import { all } from "./api.js";
import { badge, button, empty, h, link, progress } from "./dom.js";
import { count, percent, plural } from "./format.js";
import { actions, param, setParam } from "./frame.js";
import { bind } from "./keys.js";
import { load } from "./live.js";
import { asks, runs, until } from "./task-words.js";

const STATES = [["open", "Open"], ["closed", "Closed"]];

export async function mount(element) {
  const dataset = param("dataset");
  let state = param("state") === "closed" ? "closed" : "open";
  const list = h("div.pl-stack");
  const fresh = () => location.assign(dataset ? `/new-task?dataset=${encodeURIComponent(dataset)}` : "/new-task");
  const refresh = () => load(list, () => read(dataset, state), (tasks) => draw(list, tasks, state, dataset));
  const buttons = STATES.map(([value, words]) => h("button", { type: "button", value, "aria-pressed": String(value === state), onclick: () => {
    state = value;
    setParam("state", value === "open" ? null : value);
    buttons.forEach((one) => one.setAttribute("aria-pressed", String(one.value === value)));
    refresh();
  } }, words));
  actions(button("New task", fresh, { kind: "primary", key: "N" }));
  bind("new-task", "n", "New task", fresh);
  element.append(h("div.pl-page.pl-stack",
    h("div.pl-row.between", h("div.pl-segments", { role: "group", "aria-label": "Which tasks" }, buttons), dataset ? link("Of all datasets", "/tasks") : null), list));
  await refresh();
}

async function read(dataset, state) {
  const found = [];
  for await (const task of all("/tasks", { dataset_id: dataset, state })) found.push(task);
  return found;
}

function draw(list, tasks, state, dataset) {
  if (tasks.length) list.append(...tasks.map(taskCard));
  else if (state === "closed") list.append(empty("No closed task", "A task that you close stays here with all its labels."));
  else list.append(empty("No task yet", "A task asks people a question about the items of a dataset: how many labels an item, with which guidelines, by whom, until when.", link("Make the first task", dataset ? `/new-task?dataset=${encodeURIComponent(dataset)}` : "/new-task", "pl-button primary")));
}

// One task with how far it is and the ways into it.
export function taskCard(task) {
  const { total, done, labels, wanted } = task.progress;
  const due = task.deadline && !task.closed_at ? until(task.deadline) : null;
  return h("article.pl-card.pl-task-card",
    h("div.pl-stack.tight",
      h("h2.pl-cut", link(task.name, `/task?id=${task.id}`), task.standing ? [" ", badge("standing")] : null, task.closed_at ? [" ", badge("closed")] : null),
      h("p", asks(task.question), h("span.pl-muted", ` · ${runs(task)} · `), link(task.dataset, `/dataset?id=${task.dataset_id}`)),
      progress(labels, wanted, `Labels of ${task.name}`),
      h("p.pl-muted", `${count(labels)} of ${plural(wanted, "label")} (${wanted ? percent(labels / wanted) : "–"}) · ${count(done)} of ${plural(total, "item")} done`,
        due ? [" · ", h(due.past ? "strong.pl-task-late" : "span", due.past ? `deadline passed ${due.words}` : `due ${due.words}`)] : null)),
    h("div.pl-row.end", task.closed_at || due?.past ? null : link("Label", `/label?task=${task.id}`, "pl-button"), link("Open", `/task?id=${task.id}`, "pl-button")));
}
