// Whether a run broke anything: its newest check against the base as a forest plot of changes, and the button for one.

import { get, newKey, post } from "./api.js";
import { chart, colorAt, escapeMarkup, variable } from "./charts.js";
import { badge, button, dialog, errorCard, fill, h, link, progress, stateBadge, table, toastError } from "./dom.js";
import { ago, count, number, percent } from "./format.js";
import { guardForm, materials } from "./guard-form.js";
import { checkpointPage, MOVING } from "./run-state.js";

const MARKS = { worse: ["got worse", "bad"], no_worse: ["no worse", "good"], unclear: ["cannot tell", "warn"] };
const ABOUT = "Besides what it was to learn, did the run break anything? Its last checkpoint is compared with what it started from.";
const points = (value) => (value === null ? "–" : `${value > 0 ? "+" : ""}${(100 * value).toFixed(1)}`);

export const markBadge = (mark, title = null) => {
  const made = badge(...MARKS[mark]);
  if (title) made.title = title;
  return made;
};

// `now()` is the run as it is known by then. refresh() asks again.
export function regressions(now) {
  const place = h("div.pl-stack.tight");
  const head = h("div.pl-row");
  const element = h("section.pl-card.pl-stack.tight", { hidden: true, "aria-label": "Regressions" }, h("div.pl-row.between", h("h2", "Regressions"), head), place);
  let drawn = "";
  let plot = null;
  const ask = () => form(now(), () => refresh());
  async function refresh() {
    const run = now();
    element.hidden = run.kind === "reward_model" || (!run.regression && !run.checkpoints.length);
    if (element.hidden) return false;
    const found = (await get(`/runs/${run.id}/regressions`, { limit: 5 }, { quiet: true }).catch(() => null))?.items;
    const state = JSON.stringify(found);
    if (!found || state === drawn) return found?.some((one) => MOVING.includes(one.state)) ?? false;
    drawn = state;
    plot?.remove();
    fill(head, found.some((one) => MOVING.includes(one.state)) ? null : button("Check for regressions", ask, { kind: "small" }));
    plot = draw(place, found, refresh);
    return found.some((one) => MOVING.includes(one.state));
  }
  return { element, refresh };
}

function draw(place, [newest, ...older], refresh) {
  if (!newest) {
    fill(place, h("p.pl-muted", ABOUT));
    return null;
  }
  const between = h("p.pl-muted", newest.checkpoint && link(newest.checkpoint.name, checkpointPage(newest.checkpoint.id)), " against ", newest.base ? link(newest.base.name, checkpointPage(newest.base.id)) : "a base that is gone", " · ", ago(newest.created_at));
  const earlier = older.length ? h("details", h("summary.pl-muted", "Earlier checks"), older.map((one) => h("p.pl-row.tight", one.mark ? markBadge(one.mark) : stateBadge(one.state), one.result?.summary || one.reason || "", link(ago(one.created_at), `/evaluation?id=${one.evaluation_id}`)))) : null;
  if (!newest.result) {
    fill(place, between, waiting(newest, refresh), earlier);
    return null;
  }
  const { result } = newest;
  const rows = result.parts.filter((part) => part.difference !== null && part.low !== null && part.mark !== null);
  const picture = h("div");
  fill(place,
    h("div.pl-row.tight", markBadge(newest.mark), h("strong.pl-wrap", result.summary)), between,
    result.statements.map((words) => h("div.pl-card.warn.pl-note", words)), picture,
    table("Changes against the base", columns(newest), result.parts),
    h("p.pl-muted.pl-note", `Changes in points with ${percent(result.level)} intervals over prompts, seed ${result.seed}. “Got worse”: by more than the margin of ${points(result.margin).replace("+", "")} points, p below ${number(1 - result.level, 2)} after Holm's correction over all rows. “No worse”: the interval stays above the margin.`),
    earlier);
  return rows.length ? forest(picture, rows, result.margin) : null;
}

function waiting(one, refresh) {
  const moving = MOVING.includes(one.state);
  const act = (path) => async () => {
    try {
      await post(`/evaluations/${one.evaluation_id}/${path}`);
      await refresh();
    } catch (error) {
      toastError(error);
    }
  };
  return h("div.pl-stack.tight",
    h("div.pl-row.between", h("div.pl-row.tight", stateBadge(one.state), h("span.pl-muted", `${count(one.done)} of ${count(one.total)} answers and verdicts`)),
      moving ? button("Cancel check", act("cancel"), { kind: "small", disabled: one.stop_requested ? "It is stopping." : null }) : one.state === "lost" ? null : button("Go on", act("resume"), { kind: "small" })),
    moving ? progress(one.done, one.total, "Progress of the check") : h("p", one.reason, " ", one.remedy || ""));
}

const columns = (check) => [
  { title: "What", cell: (row) => h("span.pl-wrap", row.kind === "checks" ? ["Checks: ", row.name] : row.name) },
  { title: "Mark", cell: (row) => (row.mark ? markBadge(row.mark, row.needed ? `About ${count(row.needed)} prompts would tell` : null) : h("span.pl-muted", "no mark")) },
  { title: "Base", kind: "number", cell: (row) => level(row, row.base) },
  { title: "Now", kind: "number", cell: (row) => level(row, row.now) },
  { title: "Change", kind: "number", cell: (row) => (row.difference === null ? "–" : row.mark === null ? number(row.difference, 3) : h("span", { title: row.low === null ? row.reason : `${points(row.low)} to ${points(row.high)}` }, points(row.difference))) },
  { title: "Prompts", kind: "number", cell: (row) => [count(row.prompts), row.left_out ? h("span.pl-muted", ` + ${count(row.left_out)} left out`) : null] },
  { title: "Got worse", kind: "number", hint: "Prompts that were good before; with those that are good now besides", cell: (row) => (row.worse === null ? h("span.pl-muted", { title: "The task tells no scores of samples: the interval is from both standard errors, as if the samples were different ones" }, "two errors") : [row.kind === "task" || !row.worse ? count(row.worse) : link(count(row.worse), lost(check)), h("span.pl-muted", ` / +${count(row.better)}`)]) },
  { title: "Would tell", kind: "number", hint: "About how many prompts like these would tell", cell: (row) => (row.needed ? count(row.needed) : row.reason ? h("span.pl-muted.pl-wrap", row.reason) : "") },
];

const level = (row, value) => (value === null ? "–" : row.mark === null ? number(value, 3) : percent(value, 1));
const lost = (check) => `/evaluation?id=${check.evaluation_id}${check.checkpoint ? `&contestant=${check.checkpoint.id}` : ""}&outcome=lost`;

const TONES = { worse: "--pl-bad", no_worse: "--pl-good", unclear: "--pl-warn" };

function forest(place, rows, margin) {
  const color = (row) => variable(TONES[row.mark]) || colorAt(0);
  const edge = (x, dash) => ({ type: "line", x0: x, x1: x, yref: "paper", y0: 0, y1: 1, line: { color: variable("--pl-line-strong"), dash, width: 1 } });
  const wide = Math.min(1, 1.15 * Math.max(margin, 0.05, ...rows.map((row) => Math.max(-row.low, row.high))));
  return chart(place, "Changes against the base", () => ({
    x: "", y: "", rows: rows.map((row) => ({ name: `${row.name}: ${MARKS[row.mark][0]}`, n: row.prompts })), share: false, height: 130 + 64 * rows.length, shapes: [edge(0, "solid"), edge(-margin, "dot")],
    data: rows.map((row, index) => ({
      type: "scatter", mode: "markers", x: [row.difference], y: [index], name: escapeMarkup(row.name), marker: { color: color(row), size: 10, symbol: row.mark === "worse" ? "x" : row.mark === "no_worse" ? "circle" : "diamond-open" },
      error_x: { type: "data", symmetric: false, array: [row.high - row.difference], arrayminus: [row.difference - row.low], color: color(row), thickness: 2.5, width: 6 },
      hovertemplate: `${escapeMarkup(`${points(row.difference)} points (${points(row.low)} to ${points(row.high)})`)}<extra></extra>`,
    })),
    more: { xaxis: { range: [-wide, wide], tickformat: "+.0%", title: { text: "Change against the base (dotted: the margin)", font: { size: 12, color: variable("--pl-muted") }, standoff: 6 }, gridcolor: variable("--pl-line"), zeroline: false, tickfont: { size: 11, color: variable("--pl-muted") } } },
  }));
}

async function form(run, done) {
  let found;
  try {
    found = await materials();
  } catch (error) {
    return toastError(error);
  }
  return dialog("Check for regressions", (close) => {
    let key = newKey();
    const part = guardForm(found, { values: run.guard || {}, onchange: () => { key = newKey(); } });
    const general = h("div");
    const go = button("Check", async () => {
      part.clear();
      fill(general);
      try {
        await post(`/runs/${run.id}/regressions`, part.value(), { key });
        close();
        await done();
      } catch (error) {
        const words = [error.detail, error.remedy].filter(Boolean).join(" ");
        const head = error.field?.split(".")[0];
        if (["margin", "sampling", "harness"].includes(head)) part.fail(error.field, words);
        else fill(general, errorCard(error));
      }
    }, { kind: "primary" });
    return h("div.pl-stack", h("p.pl-muted", ABOUT), general, part.element, h("div.pl-row.end", button("Cancel", () => close()), go));
  }, { wide: true });
}
