// Usage: hours of devices by person, objective or project, as bars and as a table.

import { get } from "./api.js";
import { badge, button, empty, field, h, table } from "./dom.js";
import { count, plural } from "./format.js";
import { actions, isAdmin, param, setParam } from "./frame.js";
import { load } from "./live.js";
import { save } from "./save.js";

const DAYS = { 1: "the last day", 7: "the last 7 days", 30: "the last 30 days", 90: "the last 90 days", 365: "the last year" };
const hours = (seconds) => (seconds ? `${(seconds / 3600).toFixed(seconds < 360_000 ? 2 : 0)} h` : "–");
const spent = (one) => one.accelerator_seconds + one.cpu_seconds + one.unknown_seconds;

export async function mount(element) {
  const list = h("div.pl-stack");
  const scope = choice("Of", { project: "this project", ...(isAdmin && { instance: "all projects" }) }, param("scope") ?? "project");
  const by = choice("By", { person: "person", objective: "objective", project: "project" }, param("by") ?? "person");
  const days = choice("In", DAYS, param("days") ?? "30");
  const query = () => ({ by: value(by), scope: value(scope), from: new Date(Date.now() - value(days) * 86_400_000).toISOString() });
  const refresh = () => load(list, () => get("/usage", query()), (found) => draw(list, found));
  for (const [name, one] of Object.entries({ scope, by, days })) {
    one.addEventListener("change", () => { setParam(name, value(one)); refresh(); });
  }
  actions(button("Download CSV", () => save("/usage", { ...query(), format: "csv" }, "usage.csv")));
  element.append(h("div.pl-page.pl-stack", h("div.pl-row.pl-usage-filters", isAdmin && scope, by, days), list));
  await refresh();
}

const choice = (label, options, chosen) => field(label, h("select", Object.entries(options).map(([key, text]) => h("option", { value: key, selected: key === chosen }, text))));
const value = (one) => one.querySelector("select").value;

function draw(list, { items, since, until }) {
  const range = `${new Date(since).toLocaleDateString()} to ${new Date(until).toLocaleDateString()}`;
  if (!items.length) {
    list.append(empty("No run in this time", `No device was in use from ${range}.`));
    return;
  }
  const most = Math.max(...items.map(spent));
  const bar = (one) => h("div.pl-usage-bar", { role: "img", "aria-label": `${one.name}: ${hours(spent(one))}` },
    [["accelerator", one.accelerator_seconds], ["cpu", one.cpu_seconds], ["unknown", one.unknown_seconds]].map(([kind, seconds]) =>
      seconds ? h(`span.${kind}`, { style: { width: `${(100 * seconds) / most}%` }, title: `${hours(seconds)} ${kind}` }) : null));
  list.append(
    h("section.pl-card.pl-stack.tight", h("h2", `Hours, ${range}`),
      h("p.pl-muted.pl-usage-key", h("span.accelerator"), " accelerator ", h("span.cpu"), " processor ", h("span.unknown"), " not told"),
      h("div.pl-usage-chart", items.map((one) => [h("span", one.name), bar(one), h("span.pl-mono", hours(spent(one)))]))),
    table("Usage", [
      { title: "Name", cell: (one) => h("strong", one.name) },
      { title: "Runs", kind: "number", cell: (one) => [count(one.runs), one.running ? [" ", badge(`${one.running} running`, "live")] : null] },
      { title: "Accelerator", kind: "number", cell: (one) => hours(one.accelerator_seconds) },
      { title: "Processor", kind: "number", cell: (one) => hours(one.cpu_seconds) },
      { title: "Not told", kind: "number", cell: (one) => hours(one.unknown_seconds), hint: "No trainer said what it ran on" },
      { title: "Devices", cell: (one) => Object.entries(one.devices).map(([name, seconds]) => `${name} ${hours(seconds)}`).join(", ") },
    ], items),
    h("p.pl-muted", `${plural(items.reduce((sum, one) => sum + one.runs, 0), "run")}. An hour of four devices is four hours; a run counts from its start to its end, or until now.`));
}
