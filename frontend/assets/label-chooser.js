// What to label, when the address names nothing: tasks that are open for this person, and datasets that nobody made a task for.

import { all, get } from "./api.js";
import { add, empty, errorCard, fill, h, progress, skeleton } from "./dom.js";
import { count, plural } from "./format.js";
import { mayResearch } from "./frame.js";

export async function choose(page) {
  page.classList.add("pl-page", "narrow");
  add(page, skeleton(4));
  try {
    const [tasks, { items: datasets }] = await Promise.all([open(), get("/progress")]);
    const rows = [...tasks.map(ofTask), ...datasets.filter(({ tasked }) => !tasked).map(ofDataset)];
    fill(page, rows.length ? list(rows) : nothing());
  } catch (error) {
    fill(page, errorCard(error, () => choose(fill(page))));
  }
}

// Open tasks, newest first; a dataset's own one only where nobody made another.
async function open() {
  const found = [];
  for await (const task of all("/tasks", { state: "open", limit: 100 })) found.push(task);
  const made = new Set(found.filter((task) => !task.standing).map((task) => task.dataset_id));
  return found.filter((task) => !task.standing || !made.has(task.dataset_id));
}

const ASKED = { pair: "which of two is better", ranking: "rank the responses", thumb: "good or not" };

const ofTask = ({ id, name, dataset, question, standing, deadline, overlap, progress: { total, done, left, by_you: byYou } }) => ({
  href: `/label?task=${encodeURIComponent(id)}`, name, total, done, left, deadline, more: byYou ? ` · ${count(byYou)} by you` : "",
  about: standing ? null : [`${dataset}: ${ASKED[question.kind]}`, overlap > 1 && `${overlap} labels each`].filter(Boolean).join(" · "),
});

const ofDataset = ({ dataset_id: id, name, toy, progress: { total, labelled, left, imported } }) => ({
  href: `/label?dataset=${encodeURIComponent(id)}`, name, toy, total, done: labelled, left, more: imported ? ` · ${count(imported)} came with labels` : "",
  fresh: left > imported, about: null,
});

function list(rows) {
  const first = rows.find(({ fresh, left }) => fresh ?? left > 0) || rows.find(({ left }) => left > 0);
  return h("div.pl-stack", h("p.pl-muted", "What do you want to judge?"), rows.map((one) => row(one, one === first)));
}

function row({ href, name, toy, about, total, done, left, more, deadline, fresh }, first) {
  const numbers = fresh === false && left ? "label them again if you like" : left ? `${plural(left, "item")} left for you` : total ? "nothing left for you" : "nothing in it yet";
  const until = deadline && h("span", " · until ", h("time", { datetime: deadline, title: new Date(deadline).toString() }, new Date(deadline).toLocaleString([], { dateStyle: "medium", timeStyle: "short" })));
  return h(
    "div.pl-card.pl-judge-dataset",
    h("div.pl-grow", h("h2", name, toy && h("span.pl-badge", "toy")), about && h("p.pl-muted", about),
      progress(done, total, `Labelled items of ${name}`), h("p.pl-muted", `${count(done)} of ${count(total)} labelled by people${more} · ${numbers}`, until)),
    h("a.pl-button", { href, class: first ? "primary" : null }, left ? "Label" : "Look"),
  );
}

const nothing = () =>
  mayResearch
    ? empty("Nothing to label yet", "Import pairs, rankings or single answers, or compare two checkpoints: every vote can become a label.", h("a.pl-button.primary", { href: "/import" }, "Import data"))
    : empty("Nothing to label yet", "Ask a researcher to import something or to open a task; it will be here then.");
