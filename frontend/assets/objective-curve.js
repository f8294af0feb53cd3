// Loss and push over the margin or the log-ratio, computed by the API from the objective itself, following a form.

import { get } from "./api.js";
import { errorCard, field, fill, h, showError, skeleton } from "./dom.js";
import { lineChart } from "./charts.js";
import { plural } from "./format.js";

const REACHES = [20, 60, 200, 1000];
const PAUSE = 150; // milliseconds without a change before it is asked
const AXES = { margin: "Margin: log-ratio of chosen minus rejected (nats)", ratio: "Log-ratio of the answer to the reference (nats)" };

// const drawn = curve(objective, form); place.append(drawn.element); drawn.draw() after every change of the form
export function curve(objective, form) {
  const place = h("div.pl-stack.tight", skeleton(5));
  const note = h("p.pl-curve-note", { "aria-live": "polite" });
  const refusal = h("div");
  const facts = factsOf(() => draw());
  let reach = 60;
  let charts = null;
  let timer = null;
  let turn = 0;

  async function ask() {
    const mine = (turn += 1);
    try {
      const answer = await get(`/objectives/${encodeURIComponent(objective.name)}/curve`, { parameters: JSON.stringify(form.value()), facts: facts.value(), reach });
      if (mine !== turn) return;
      form.clear();
      fill(refusal);
      facts.show(answer);
      if (charts?.kind !== kindOf(answer)) {
        charts?.loss.remove();
        charts?.push.remove();
        charts = { ...panels(fill(place), answer), kind: kindOf(answer) };
      }
      for (const { chart, series, values } of lines(answer, charts)) chart.replace(series, answer.x, values);
      note.textContent = words(answer);
    } catch (error) {
      if (mine !== turn) return;
      if (!charts) fill(place);
      if (error.field === "facts") return void facts.fail(error.detail);
      if (error.field && form.fail(error.field, error.detail)) return;
      fill(refusal, error.status === 409 ? h("p.pl-muted", error.detail) : errorCard(error, ask));
      choose.hidden = error.status === 409;
    }
  }

  const buttons = REACHES.map((one) => h("button", { type: "button", "aria-pressed": String(one === reach), onclick: () => {
    reach = one;
    buttons.forEach((other, at) => other.setAttribute("aria-pressed", String(REACHES[at] === one)));
    ask();
  } }, `±${one}`));
  const choose = h("div.pl-row", h("span.pl-muted", "Axis, in nats:"), h("div.pl-segments", { role: "group", "aria-label": "How far the axis goes, in nats" }, buttons));
  const draw = () => {
    clearTimeout(timer);
    timer = setTimeout(ask, PAUSE);
  };
  return { element: h("div.pl-stack.tight.pl-curve", refusal, place, note, facts.element, choose), draw };
}

// What the data say of the drawn example, where the objective reads facts: numbers that can be changed.
function factsOf(onchange) {
  const element = h("div.pl-form.pl-curve-facts", { hidden: true });
  const inputs = new Map(); // fact -> its fields
  return {
    element,
    show({ facts, responses }) {
      inputs.forEach((fields) => fields.forEach((one) => showError(one, "")));
      for (const [name, values] of Object.entries(facts)) {
        if (inputs.has(name)) continue;
        const called = name.replace(/^aspect:/, "").replaceAll("_", " ");
        inputs.set(name, values.map((value, at) => field(values.length > 1 ? `${called}, ${responses[at]}` : called, h("input", { type: "text", inputmode: "decimal", autocomplete: "off", value, oninput: onchange }))));
      }
      for (const name of [...inputs.keys()].filter((one) => !(one in facts))) inputs.delete(name);
      if (element.childElementCount !== [...inputs.values()].flat().length) fill(element, [...inputs.values()].flat());
      element.hidden = !inputs.size;
    },
    value: () => JSON.stringify(Object.fromEntries([...inputs].map(([name, fields]) => [name, fields.map((one) => numberOf(one.querySelector("input")))]))),
    fail: (why) => showError([...inputs.values()].flat()[0] || element, why),
  };
}

const numberOf = (input) => (input.value.trim() === "" || Number.isNaN(Number(input.value)) ? input.value : Number(input.value));

// Answers of one kind have the same axis and lines; others need panels of their own.
const kindOf = ({ axis, lines: found }) => JSON.stringify([axis, found.map((line) => [line.of, Object.keys(line.gradients)])]);

// Two panels, since the push is a small fraction of the loss.
function panels(place, { axis, lines: found }) {
  const zero = [{ type: "line", x0: 0, x1: 0, yref: "paper", y0: 0, y1: 1, line: { color: "#8a94a3", dash: "dot", width: 1 } }];
  const several = found.length > 1 || Object.keys(found[0].gradients).length > 1;
  const common = { x: AXES[axis], height: 220, shapes: zero };
  const grid = h("div.pl-curve-panels");
  place.append(grid);
  const cell = () => {
    const made = h("div");
    grid.append(made);
    return made;
  };
  return {
    loss: lineChart(cell(), { ...common, title: "Loss", y: "nats", legend: found.length > 1 }),
    push: lineChart(cell(), { ...common, title: "Negative gradient: above 0 raised, below 0 lowered", y: "per nat", legend: several }),
  };
}

const DASHES = ["solid", "dash", "dot", "dashdot"];

function lines(answer, charts) {
  const several = answer.lines.length > 1;
  const found = [];
  answer.lines.forEach((line, at) => {
    found.push({ chart: charts.loss, series: { id: line.of, name: several ? line.of : "loss", tone: at, dash: DASHES[at] }, values: line.loss });
  });
  answer.lines.flatMap((line) => Object.entries(line.gradients)).forEach(([name, gradient], at) => {
    const pushes = gradient.map((value) => (value === null ? null : value === 0 ? 0 : -value));
    found.push({ chart: charts.push, series: { id: name, name, tone: at, dash: DASHES[at % DASHES.length] }, values: pushes });
  });
  return found;
}

// The curve in a few words, for whoever cannot see it; and what it is drawn for.
function words({ axis, x, lines: found, tokens, companions, assumed }) {
  const number = (value) => (value === null ? "infinite" : String(Number(value.toPrecision(3))));
  const middle = Math.floor(x.length / 2);
  const place = axis === "margin" ? "margin" : "log-ratio";
  const told = found.map(({ of, loss, slope, gradients }) => {
    const here = Object.entries(gradients).map(([name, values]) => {
      const push = values[middle];
      return push === null || push === 0 ? `${name} is left alone` : `${name} is ${push < 0 ? "raised" : "lowered"} (${number(Math.abs(push))})`;
    });
    const lowest = loss.reduce((best, value, at) => (value !== null && (loss[best] === null || value < loss[best]) ? at : best), 0);
    const inside = lowest > 0 && lowest < x.length - 1 && slope[lowest - 1] < 0 && slope[lowest + 1] > 0;
    const end = inside ? `lowest at a ${place} of about ${number(x[lowest])}` : lowest === 0 ? `falling towards lower ${place}s` : `falling towards higher ${place}s`;
    return `${found.length > 1 ? `${of}: ` : ""}loss ${number(loss[middle])} at 0, where ${here.join(" and ")}; ${end}.`;
  });
  const batch = companions ? ` The loss is that of a batch of ${companions + 1}, of which one moves.` : "";
  const text = `${told.join(" ")} Drawn for answers of ${plural(tokens, "token")}.${batch} ${assumed.join(" ")}`.trim();
  return text.charAt(0).toUpperCase() + text.slice(1);
}
