// A labelling task, made or changed: the form on the left, what it will cost on the right, live.

import { all, ApiError, get, newKey, patch, post } from "./api.js";
import { button, empty, errorCard, h, link, progress, toastError } from "./dom.js";
import { count } from "./format.js";
import { actions, param, title } from "./frame.js";
import { nouns } from "./kinds.js";
import { load } from "./live.js";
import { taskCost } from "./task-cost.js";
import { taskForm } from "./task-form.js";
import { Suggestions } from "./task-suggestions.js";
import { labelable } from "./task-words.js";

export async function mount(element) {
  const page = h("div.pl-page.pl-stack");
  element.append(page);
  const [id, task] = [param("dataset"), param("id")];
  if (task) await load(page, () => whole(task), (found) => draw(page, found));
  else if (id) await load(page, () => around(id), (found) => draw(page, found));
  else await load(page, datasets, (found) => choose(page, found));
}

async function datasets() {
  const found = [];
  for await (const one of all("/datasets")) if (labelable(one)) found.push(one);
  return found;
}

function choose(page, found) {
  if (!found.length) {
    page.append(empty("Nothing to label yet", "Import pairs, rankings or single answers first; a task then asks people about them.", link("Import data", "/import", "pl-button primary")));
    return;
  }
  page.classList.add("narrow");
  page.append(h("p.pl-muted", "What is to be labelled?"), ...found.map((one) =>
    h("a.pl-card.clickable", { href: `/new-task?dataset=${one.id}` }, h("h2.pl-cut", one.name), one.kind === "paired" ? progress(one.labelled, one.items, `Labelled of ${one.name}`) : null,
      h("span.pl-muted", `${count(one.items)} ${nouns(one.kind)}${one.kind === "paired" ? ` · ${count(one.labelled)} labelled` : ""}`))));
}

// All that the form needs to know of a dataset.
export async function around(id) {
  const known = encodeURIComponent(id);
  const [dataset, pace, golds] = await Promise.all([get(`/datasets/${known}`), get(`/datasets/${known}/pace`), get(`/datasets/${known}/golds`, { limit: 200 })]);
  const members = [];
  for await (const one of all("/members")) members.push(one);
  return { dataset, pace, members, golds: golds.items.length };
}

async function whole(id) {
  const task = await get(`/tasks/${encodeURIComponent(id)}`);
  return { task, ...(await around(task.dataset_id)) };
}

function draw(page, { dataset, pace, members, golds, task = null }) {
  title(task ? `Edit “${task.name}”` : `New task on “${dataset.name}”`);
  if (!labelable(dataset)) {
    page.append(empty("Nothing to label here", `“${dataset.name}” holds ${dataset.items ? `${nouns(dataset.kind)}, which have no response to judge` : "no items yet"}.`, link("Other datasets", "/new-task", "pl-button")));
    return;
  }
  const cost = taskCost(pace);
  const recount = () => {
    const { overlap, deadline } = form.value();
    if (overlap >= 1 && overlap <= 20) cost.show({ overlap, deadline, people: form.labellers() });
  };
  const form = taskForm({ dataset, members, golds, task }, recount);
  const wrong = h("div");
  const before = form.value();
  const make = button(task ? "Save" : "Make the task", () => keep({ dataset, task, before }, form, make, wrong), { kind: "primary" });
  actions(button("Cancel", () => history.back()), make);
  page.append(h("div.pl-split.pl-new-task", task ? h("div.pl-stack", form.element, new Suggestions(task).element) : form.element, h("div.pl-stack.pl-new-task-side", cost.element, wrong)));
  recount();
}

const keys = new Map(); // of each content that was sent: sent again, it makes nothing more

async function keep({ dataset, task, before }, form, make, wrong) {
  const changed = changes(before, form.value());
  if (task && !Object.keys(changed).length) return void location.assign(`/task?id=${task.id}`);
  wrong.replaceChildren();
  make.disabled = true;
  try {
    const { id } = task ? await patch(`/tasks/${task.id}`, changed) : await create({ dataset_id: dataset.id, ...form.value() });
    location.assign(`/task?id=${id}`);
  } catch (error) {
    make.disabled = false;
    refuse(form, wrong, error);
  }
}

function create(body) {
  const content = JSON.stringify(body);
  if (!keys.has(content)) keys.set(content, newKey());
  return post("/tasks", body, { key: keys.get(content) });
}

// Only what was changed is sent: what others changed meanwhile stays.
const changes = (before, now) => Object.fromEntries(Object.entries(now).filter(([name, value]) => JSON.stringify(value) !== JSON.stringify(before[name])));

// A refusal at its field, or beside the form.
export function refuse(form, place, error) {
  const words = [error.detail, error.remedy].filter(Boolean).join(" ");
  if (error instanceof ApiError && error.field && form.fail(error.field, words)) {
    document.querySelector(".pl-field.wrong, .pl-field-error:not(:empty)")?.scrollIntoView({ block: "center" });
    return;
  }
  place.replaceChildren(errorCard(error));
  if (!(error instanceof ApiError)) toastError(error);
}
