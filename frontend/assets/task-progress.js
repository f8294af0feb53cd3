// How far a task is: items done, in work and open as one bar, labels given against wanted, labels over time, the end.

import { get } from "./api.js";
import { stackedBars } from "./charts.js";
import { errorCard, fill, h, skeleton, table } from "./dom.js";
import { count, number, percent, plural } from "./format.js";
import { param, setParam } from "./frame.js";
import { latest } from "./live.js";
import { day, ended, moment, until, workTime } from "./task-words.js";

const SPANS = [["hour", "By hour"], ["day", "By day"]];
const MOST_NAMED = 7; // people with a color of their own in the chart
const LONGEST_NAME = 28; // letters beside such a color, on a phone

// The numbers at the top: items as one bar, labels beside it.
function numbers({ stands }, task) {
  const { total, done, in_work: inWork, open, withdrawn, wanted, labels, surplus } = stands;
  const stat = (value, words, hint) => h("div.pl-card.pl-stat", { title: hint || null }, h("strong", value), h("span", words));
  const parts = [["done", done, "Have all the labels that were wanted"], ["work", inWork, "Have some, or are on somebody's screen"], ["open", open, "Nobody has begun"]];
  const bar = h("div.pl-task-bar", { role: "img", "aria-label": `${plural(done, "item")} done, ${count(inWork)} in work, ${count(open)} open` },
    parts.map(([name, n]) => (n ? h(`span.${name}`, { style: { "flex-grow": n } }) : null)));
  const key = h("p.pl-task-key", parts.map(([name, n, hint]) => h("span", { title: hint }, h(`i.${name}`), h("strong", count(n)), ` ${name === "work" ? "in work" : name}`)),
    withdrawn ? h("span.pl-muted", `${count(withdrawn)} withdrawn`) : null);
  const due = task.deadline ? until(task.deadline) : null;
  return [
    h("section.pl-card.pl-stack.tight", { "aria-label": "Items" }, h("h2", plural(total, "item")), bar, key),
    h("section.pl-numbers", { "aria-label": "Numbers" },
      stat(wanted ? percent(labels / wanted) : "–", `${count(labels)} of ${plural(wanted, "label")}`, `${plural(total, "item")} × ${task.overlap}${wanted === total * task.overlap ? "" : ", but of pairs that edits made no more than the label they came with"}`),
      stat(count(Math.max(0, wanted - labels)), "labels still wanted"),
      stat(count(surplus), "surplus", "Came after their item had all its labels, as gold items do that everybody gets: kept, but not counted"),
      due ? stat(due.words, due.past ? "the deadline passed" : `deadline: ${moment(task.deadline)}`) : null),
  ];
}

// Labels by hour or day as bars, the forecast in words, and who gave how many.
export class Progress {
  constructor(task) {
    this.task = task;
    this.by = param("by") === "hour" ? "hour" : "day";
    this.body = h("div.pl-stack.tight", skeleton(4));
    this.buttons = SPANS.map(([value, words]) => h("button", { type: "button", value, "aria-pressed": String(value === this.by), onclick: () => this.choose(value) }, words));
    this.numbers = h("div.pl-stack", skeleton(2));
    this.element = h("div.pl-stack", this.numbers,
      h("section.pl-card.pl-stack.tight", { "aria-label": "Throughput" },
        h("div.pl-row.between", h("h2", "Labels as they come"), h("div.pl-segments", { role: "group", "aria-label": "Bars" }, this.buttons)), this.body));
    this.drawn = "";
    this.newest = latest();
  }

  choose(by) {
    this.by = by;
    setParam("by", by === "day" ? null : by);
    for (const one of this.buttons) one.setAttribute("aria-pressed", String(one.value === by));
    this.refresh();
  }

  async refresh(task = this.task) {
    this.task = task;
    const current = this.newest();
    try {
      const found = await get(`/tasks/${this.task.id}/throughput`, { by: this.by });
      const state = JSON.stringify([found.by, found.stands, found.totals, found.people, task]);
      if (!current() || state === this.drawn) return;
      this.drawn = state;
      fill(this.numbers, numbers(found, task));
      this.draw(found);
    } catch (error) {
      if (current() && !this.drawn) fill(this.body, errorCard(error, () => this.refresh()));
    }
  }

  draw(found) {
    this.plot?.remove();
    this.plot = null;
    if (!found.people.length) {
      fill(this.body, h("p.pl-muted", found.by === "hour" ? "No label yet in the last two days." : "No label yet: they are drawn here as they come."), outlook(found, this.task));
      return;
    }
    const place = h("div");
    fill(this.body, outlook(found, this.task), place, people(found));
    this.plot = stackedBars(place, { x: found.by === "hour" ? "Hour" : "Day", y: "Labels", at: found.starts.map(local), parts: parts(found) });
  }
}

// Plotly takes times without a zone as they stand.
const local = (iso) => new Date(new Date(iso).getTime() - new Date(iso).getTimezoneOffset() * 60_000).toISOString().slice(0, 19);

// Names cut so that they fit beside a color; those that are then alike are numbered.
function short(names) {
  const cut = names.map((name) => (name.length > LONGEST_NAME ? `${name.slice(0, LONGEST_NAME - 1)}…` : name));
  const alike = (words) => cut.filter((one) => one === words).length > 1;
  return cut.map((words, at) => (alike(words) ? `${words} ${cut.slice(0, at + 1).filter((one) => one === words).length}` : words));
}

function parts({ people: all }) {
  const most = all.slice(0, MOST_NAMED);
  const tones = most.map((one) => one.name).sort(); // whoever leads keeps their color
  const words = short(tones);
  const tone = (one) => tones.indexOf(one.name);
  const named = most.map((one) => ({ name: one.name, short: words[tone(one)], tone: tone(one), counts: one.buckets }));
  const others = all.slice(MOST_NAMED);
  if (!others.length) return named;
  return [...named, { name: `${count(others.length)} others`, tone: MOST_NAMED, counts: others[0].buckets.map((_, at) => others.reduce((sum, one) => sum + one.buckets[at], 0)) }];
}

// When it will be done, and how that is reckoned.
function outlook({ forecast, stands: { labels, wanted } }, task) {
  if (labels >= wanted) return h("p", wanted ? "Every label that was wanted is there." : "Nothing is wanted.");
  if (ended(task)) return h("p.pl-muted", `No forecast: ${task.closed_at ? "the task is closed" : "the deadline has passed"}, and ${plural(wanted - labels, "label")} that ${wanted - labels === 1 ? "was" : "were"} wanted did not come. ${task.closed_at ? "“Reopen”" : "A later deadline (“Edit”)"} lets people go on.`);
  if (!forecast) return h("p.pl-muted", "No forecast: no label that counts came in the last seven days.");
  const span = forecast.days >= 6.95 ? "seven days" : forecast.days <= 1 ? "24 hours" : `${number(forecast.days, 2)} days`;
  const reckoned = `Reckoned from the last ${span}: ${number(forecast.per_day, 3)} labels a day, ${plural(forecast.remaining, "label")} to go.`;
  if (!forecast.done_at) return h("p", "At this pace it is not done in ten years. ", h("span.pl-muted", reckoned));
  const late = task.deadline && forecast.done_at > task.deadline;
  const range = forecast.earliest ? ` (${day(forecast.earliest)} to ${forecast.latest ? day(forecast.latest) : "nobody knows when"}, four times in five)` : "";
  return h("p", h("strong", `Done on ${day(forecast.done_at)}`), range, late ? h("strong.pl-task-late", ", after the deadline") : "", ". ", h("span.pl-muted", reckoned));
}

const people = (found) =>
  table("Who gave how many", [
    { title: "Annotator", cell: (one) => h("strong.pl-snug", one.name) },
    { title: "Labels", kind: "number", cell: (one) => count(one.labels), hint: "All that stand, surplus too" },
    { title: "Time at work", kind: "number", cell: (one) => (one.work_seconds ? workTime(one.work_seconds) : "–"), hint: "Seconds that cards were open; at most ten minutes a card count" },
    { title: "Labels an hour", kind: "number", cell: (one) => (one.per_hour ? number(one.per_hour, 3) : "–"), hint: "Of that time" },
  ], found.people);
