// Home: the loop as a picture with live numbers, what to go on with, what runs, and the newest win rates.

import { get } from "./api.js";
import { badge, errorCard, fill, h, link, progress, skeleton, stateBadge } from "./dom.js";
import { ago, count, duration, percent, plural } from "./format.js";
import { mayResearch } from "./frame.js";
import { Start } from "./home-start.js";
import { live } from "./live.js";

export async function mount(element) {
  const page = h("div.pl-page.pl-stack.pl-home", skeleton(6));
  element.append(page);
  const start = mayResearch ? new Start() : null;
  let before = "";
  live(
    async () => {
      const home = await get("/home");
      const now = JSON.stringify(home);
      if (now === before) return false;
      before = now;
      draw(page, home, start);
      return Boolean(home.runs && home.runs.active.length);
    },
    { seconds: 3, slowest: 20, onerror: (error) => before || fill(page, errorCard(error, () => location.reload())) },
  );
}

function draw(page, home, start) {
  fill(page, loop(home), start ? start.question(home) : null, h("div.pl-columns", resume(home), running(home), winRates(home)), start ? start.draw(home) : null);
}

// The four stations in their order, and the way back from the last to the first.
function loop(home) {
  const { labelling, runs, evaluations } = home;
  const stations = [
    station("Data", mayResearch ? "/data" : null, count(home.datasets), home.datasets === 1 ? "dataset" : "datasets", `${plural(labelling.pairs, "pair")} to judge or train on`),
    station("Label", "/label", count(labelling.left), "pairs wait for a label", labelling.today ? `${count(labelling.today)} by you today` : `${count(labelling.labelled)} labelled so far`),
    runs && station("Train", "/runs", count(runs.active.length + runs.waiting), "running or waiting", runs.newest ? `${count(runs.succeeded)} succeeded, ${count(runs.failed)} failed` : "no run yet"),
    station("Compare", "/compare", count(home.votes), "blind votes", evaluations ? `${plural(evaluations.succeeded, "evaluation")} done` : "which answer is better?"),
  ].filter(Boolean);
  return h("section.pl-loop", { "aria-label": "The loop" }, h("ol", stations.map((one) => h("li", one))),
    h("div.pl-loop-back", h("span", "votes become the next run's labels")));
}

function station(name, address, number, unit, detail) {
  const body = [h("span.pl-station-name", name), h("span.pl-stat", h("strong", number), h("span", unit)), h("span.pl-station-detail", detail)];
  return address ? h("a.pl-card.clickable.pl-station", { href: address }, body) : h("div.pl-card.pl-station", body);
}

function resume(home) {
  const lines = home.resume.map((line) =>
    h("li", h("a", { href: line.address }, h("span.pl-cut", line.title)), h("span.pl-muted", line.detail), line.at ? h("span.pl-muted", ago(line.at)) : null));
  return h("section.pl-card", h("h2", "Continue where you left off"),
    lines.length ? h("ul.pl-lines", lines) : h("p.pl-muted", "Nothing begun yet. ", link("Label a pair", "/label"), " to start."));
}

function running(home) {
  if (!home.runs) return null;
  const { active, waiting, newest } = home.runs;
  const lines = active.map((run) => h("li.pl-run-line",
    h("a", { href: `/run?id=${run.id}` }, h("span.pl-cut", run.name)), stateBadge(run.state),
    h("div.pl-grow", progress(run.done, run.total, `Progress of ${run.name}`)),
    h("span.pl-muted", run.total ? `${percent(run.done / run.total)}${run.eta_seconds ? `, ${duration(run.eta_seconds)} left` : ""}` : "starting")));
  const idle = newest ? h("p.pl-muted", "Nothing is running. The last: ", link(newest.name, `/run?id=${newest.id}`), " ", stateBadge(newest.state)) : h("p.pl-muted", "No run yet.");
  return h("section.pl-card", h("div.pl-row.between", h("h2", "Running now"), link("New run", "/new-run")),
    lines.length ? h("ul.pl-lines", lines) : idle, waiting ? h("p.pl-muted", `${count(waiting)} waiting in the queue`) : null);
}

function winRates(home) {
  if (!home.evaluations) return null;
  const lines = home.evaluations.newest.map((line) => h("li.pl-rate",
    h("div", h("a", { href: `/evaluation?id=${line.evaluation_id}` }, line.contestant), h("span.pl-muted", ` against ${line.baseline}`), line.toy ? badge("toy", "warn") : null),
    interval(line),
    h("span.pl-muted", `${percent(line.rate)} won (${percent(line.level)} interval ${percent(line.low)}–${percent(line.high)}, n = ${count(line.n)}, judge: ${line.judge})`)));
  return h("section.pl-card", h("div.pl-row.between", h("h2", "Newest win rates"), link("All", "/evaluate")),
    lines.length ? h("ul.pl-lines", lines) : h("p.pl-muted", "No evaluation has finished. ", link("Evaluate two checkpoints", "/evaluate"), "."));
}

// The interval as a bar on a line from 0 to 100 %, the middle marked.
function interval({ rate, low, high }) {
  const at = (share) => `${share * 100}%`;
  return h("div.pl-interval", { role: "img", "aria-label": `Win rate ${percent(rate)}, from ${percent(low)} to ${percent(high)}` },
    h("i.pl-even"), h("i.pl-range", { style: { left: at(low), width: at(Math.max(0.01, high - low)) } }), h("i.pl-point", { style: { left: at(rate) } }));
}
