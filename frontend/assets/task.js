// One task, for whoever leads it: how far it is, who does it how well, how much people agree, and every item.

import { AnnotatorLabels } from "./annotator-labels.js";
import { People } from "./annotators.js";
import { Agreement } from "./annotators-agree.js";
import { get, post } from "./api.js";
import { badge, button, confirm, empty, h, html, link, toast, toastError } from "./dom.js";
import { actions, param, setParam, title } from "./frame.js";
import { bind } from "./keys.js";
import { live, load } from "./live.js";
import { ofTask } from "./quality-scope.js";
import { TaskItems } from "./task-items.js";
import { Progress } from "./task-progress.js";
import { asks, ended, runs } from "./task-words.js";

const VIEWS = [["progress", "Progress"], ["people", "Annotators"], ["agreement", "Agreement"], ["items", "Items and gold"]];

export async function mount(element) {
  const page = h("div.pl-page.pl-stack");
  element.append(page);
  const id = param("id");
  if (!id) {
    page.append(empty("Which task?", "The address names none.", link("All tasks", "/tasks", "pl-button primary")));
    return;
  }
  await load(page, () => get(`/tasks/${encodeURIComponent(id)}`), (task) => new TaskPage(page, task).start());
}

class TaskPage {
  constructor(page, task) {
    this.page = page;
    this.task = task;
    this.view = VIEWS.some(([name]) => name === param("view")) ? param("view") : "progress";
    this.head = h("section.pl-stack.tight");
    this.body = h("div.pl-stack");
    this.tabs = VIEWS.map(([name, words], at) => h("button", { type: "button", "aria-pressed": String(name === this.view), onclick: () => this.choose(name) }, words, h("kbd", at + 1)));
  }

  start() {
    this.page.append(this.head, h("div.pl-segments.pl-task-views", { role: "group", "aria-label": "What is shown" }, this.tabs), this.body);
    VIEWS.forEach(([name, words], at) => bind(`task-${name}`, String(at + 1), words, () => this.choose(name), "Task"));
    bind("task-adjudicate", "j", "Adjudicate", () => location.assign(this.adjudication), "Task");
    this.drawHead();
    this.drawView();
    this.polling = live((signal) => this.refresh(signal), { seconds: 2, slowest: 8 });
  }

  get adjudication() {
    return `/adjudicate?task=${this.task.id}`;
  }

  async refresh(signal) {
    const task = await get(`/tasks/${this.task.id}`, {}, { signal });
    const changed = JSON.stringify(task) !== JSON.stringify(this.task);
    this.take(task);
    return changed;
  }

  take(task) {
    const changed = JSON.stringify(task) !== JSON.stringify(this.task);
    this.task = task;
    if (!changed) return;
    this.drawHead();
    this.shown?.refresh?.(task);
  }

  drawHead() {
    const { task } = this;
    title(task.name);
    const shut = task.closed_at ? button("Reopen", () => this.turn("reopen")) : button("Close", () => this.turn("close"));
    actions(link("Edit", `/edit-task?id=${task.id}`, "pl-button"), shut, link("Adjudicate", this.adjudication, "pl-button"), ended(task) ? null : link("Label", `/label?task=${task.id}`, "pl-button primary"));
    this.head.replaceChildren(
      h("p", task.closed_at ? [badge("closed"), " "] : "", task.standing ? [badge("standing"), " "] : "", h("strong", asks(task.question)), h("span.pl-muted", ` · ${runs(task)} · on `), link(task.dataset, `/dataset?id=${task.dataset_id}`)),
      task.guidelines_html ? h("details", h("summary", "Guidelines"), html(task.guidelines_html)) : h("p.pl-muted", "No guidelines yet: annotators see only the question. Write some with “Edit”."),
    );
  }

  choose(view) {
    this.view = view;
    setParam("view", view === "progress" ? null : view);
    setParam("who", null);
    this.tabs.forEach((one, at) => one.setAttribute("aria-pressed", String(VIEWS[at][0] === view)));
    this.drawView();
  }

  drawView() {
    const who = param("who");
    const scope = () => ofTask(this.task);
    const people = () => (who ? new AnnotatorLabels(scope(), { annotator_id: who }) : new People(scope));
    const made = { progress: () => new Progress(this.task), people, agreement: () => new Agreement(scope), items: () => new TaskItems(this.task) };
    this.shown = made[this.view]();
    this.body.replaceChildren(this.shown.element);
    this.shown.refresh?.(this.task);
  }

  async turn(verb) {
    if (verb === "close" && !(await confirm("Close this task?", "Nothing more is handed out. What is open on a screen may still be answered, and nothing is lost. You can reopen it.", "Close task"))) return;
    try {
      this.take(await post(`/tasks/${this.task.id}/${verb}`));
      toast(verb === "close" ? "Closed." : "Open again.");
    } catch (error) {
      toastError(error);
    }
  }
}
