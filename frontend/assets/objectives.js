// The catalogue: every objective as a card by family, and one opened with formula, paper, needs and its plot.

import { get } from "./api.js";
import { badge, button, dialog, empty, errorCard, fill, h, link, skeleton } from "./dom.js";
import { lineChart, plotly } from "./charts.js";
import { formula } from "./formula.js";
import { schemaForm } from "./form.js";
import { actions, param, setParam } from "./frame.js";
import { load } from "./live.js";

const FIDELITY = {
  authors_code: ["as the authors' code", "The loss equals what the authors' own code computes."],
  paper: ["as the paper", "Written from the paper's equations; no code of the authors was there to compare."],
  reconstruction: ["reconstruction", "The paper leaves something open; this is our reading of it."],
};

export async function mount(element) {
  const page = h("div.pl-page.pl-stack");
  element.append(page);
  await load(page, () => get("/objectives"), (answer) => {
    const objectives = Array.isArray(answer) ? answer : answer.items;
    catalogue = objectives;
    const list = h("div.pl-stack");
    const show = (words) => {
      setParam("q", words);
      draw(list, objectives.filter((one) => matches(one, words)));
    };
    const search = h("input.pl-input.pl-search", { type: "search", placeholder: "Search by name, need, author or year", "aria-label": "Search objectives", value: param("q") || "", oninput: () => show(search.value) });
    actions(search);
    page.append(list);
    show(search.value);
    const opened = objectives.find((one) => one.name === param("name"));
    if (opened) open(opened);
  });
}

function matches(objective, words) {
  const text = [objective.name, objective.title, objective.family, objective.summary, objective.paper.authors, objective.paper.year, objective.paper.title, ...needs(objective)].join(" ").toLowerCase();
  return words.toLowerCase().split(/\s+/).every((word) => text.includes(word));
}

function draw(list, objectives) {
  if (!objectives.length) return fill(list, empty("No objective fits", "Try fewer words."));
  const families = new Map();
  for (const one of objectives) families.set(one.family, [...(families.get(one.family) || []), one]);
  return fill(list, [...families].map(([family, members]) => h("section", h("h2", family), h("div.pl-grid.pl-objectives", members.map(card)))));
}

function card(objective) {
  return h("article.pl-card.pl-stack.tight", 
    h("div.pl-row.between", h("h3.pl-objective-title", objective.title), fidelity(objective)),
    h("p", objective.summary),
    h("div.pl-formula", { tabindex: 0, role: "group", "aria-label": "Formula" }, formula(objective.formula)),
    h("div.pl-row", needs(objective).map((need) => badge(need))),
    h("div.pl-row.between", paper(objective.paper),
      h("div.pl-row", button("Details", () => open(objective), { kind: "small" }), button("Use", () => location.assign(useAddress(objective)), { kind: "small primary" }))));
}

const useAddress = (objective) => `/new-run?objective=${encodeURIComponent(objective.name)}`;
const fidelity = (objective) => {
  const [text, why] = FIDELITY[objective.fidelity] || [objective.fidelity, ""];
  const note = badge(text, objective.fidelity === "authors_code" ? "good" : objective.fidelity === "reconstruction" ? "warn" : "");
  note.title = why;
  return note;
};

function paper({ authors, year, arxiv, url, equation, title }) {
  const address = url || (arxiv ? `https://arxiv.org/abs/${arxiv}` : null);
  const text = `${authors} ${year}${equation ? `, eq. ${equation}` : ""}`;
  return address ? h("a", { href: address, target: "_blank", rel: "noopener noreferrer", title }, text) : h("span.pl-muted", { title }, text);
}

// What training must supply, in words.
function needs({ needs: need }) {
  const roles = need.roles.includes("chosen") ? ["pairs"] : need.roles;
  const reference = { none: "no reference", sequence: "reference model", tokens: "reference per token", distribution: "reference distribution" }[need.reference];
  return [...roles, reference, ...need.facts.map((fact) => `fact: ${fact}`), ...need.third.map((one) => `third model: ${one}`), ...need.tokens.map((one) => `per token: ${one}`), need.coupled ? "whole batch at once" : null].filter(Boolean);
}

let catalogue = [];

function open(objective) {
  setParam("name", objective.name);
  plotly().catch(() => {}); // begins to load beside the curve; a failure is shown by the chart itself
  const shown = dialog(objective.title, () => {
    const plot = h("div.pl-plot", skeleton(5));
    const refusal = h("div");
    const form = schemaForm(objective.schema, { onchange: () => later(() => curve(objective, form, plot, refusal)), parts: { objective: catalogue } });
    later(() => curve(objective, form, plot, refusal), 0);
    // Docstrings are broken at the width of the code; only blank lines are meant.
    const description = String(objective.schema.description || objective.summary).replace(/([^\n])\n(?!\n)/g, "$1 ");
    return [h("div.pl-formula", formula(objective.formula)), h("p.pl-prose.pl-plain", description),
      h("div.pl-row", needs(objective).map((need) => badge(need)), fidelity(objective)),
      h("h3", "Loss and gradient of one pair"), form.element, refusal, plot,
      h("div.pl-row.between", paper(objective.paper), link("Use in a new run", useAddress(objective), "pl-button primary"))];
  });
  shown.then(() => setParam("name", null));
}

let waiting = null;
function later(run, after = 150) {
  clearTimeout(waiting);
  waiting = setTimeout(run, after);
}

async function curve(objective, form, place, refusal) {
  form.clear();
  fill(refusal);
  try {
    const answer = await get(`/objectives/${objective.name}/curve`, { parameters: JSON.stringify(form.value()) });
    if (!place.charts) place.charts = panels(fill(place));
    place.charts.loss.replace({ id: "loss", name: "loss", color: chosen("--pl-accent") }, answer.margin, answer.loss);
    place.charts.slope.replace({ id: "slope", name: "slope", color: chosen("--pl-warn") }, answer.margin, answer.gradient);
  } catch (error) {
    if (!place.charts) fill(place);
    if (!(error.field && form.fail(error.field, error.detail))) fill(refusal, error.status === 409 ? h("p.pl-muted", `${error.detail} ${error.remedy || ""}`) : errorCard(error));
  }
}

// Two panels, since the slope is a small fraction of the loss.
function panels(place) {
  const x = "Margin: log-ratio of chosen minus rejected (nats)";
  return { loss: lineChart(place, { title: "Loss", x, y: "nats", height: 200 }), slope: lineChart(place, { title: "Its slope: how hard the pair is pushed", x, y: "nats per nat", height: 200 }) };
}

const chosen = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
