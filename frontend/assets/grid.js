// An evaluation as a grid: prompts down, contestants across, each answer coloured by how it did against the baseline.

import { get } from "./api.js";
import { badge, button, empty, errorCard, fill, h, link, named, skeleton, toastError } from "./dom.js";
import { count, plural } from "./format.js";
import { actions, param, setParam, title } from "./frame.js";
import { bind } from "./keys.js";
import { load } from "./live.js";
import { filterNow, filterTail, matchFilter } from "./match-filter.js";
import { dataActions } from "./matches-data.js";
import { Sheet } from "./sheet.js";
import { Stretches } from "./stretches.js";
import { stylesheet } from "./stylesheet.js";

const [HEIGHT, NARROW_HEIGHT] = [100, 188];
const narrow = matchMedia("(max-width: 760px)");
const MARKS = { contradicted: "changed with the order", unreadable: "no verdict", differs: "people: otherwise" };

export async function mount(element) {
  const page = h("div.pl-page.wide.pl-stack.tight");
  element.append(page);
  await Promise.all([stylesheet("evaluate.css"), stylesheet("comparing.css")]);
  const id = param("id");
  if (!id) return void page.append(empty("Which evaluation?", "The address names none.", link("All evaluations", "/evaluate", "pl-button primary")));
  await load(page, () => get(`/evaluations/${encodeURIComponent(id)}`), (evaluation) => new Grid(page, evaluation).start());
}

class Grid {
  constructor(page, evaluation) {
    this.page = page;
    this.evaluation = evaluation;
    this.turn = 0;
    this.bar = matchFilter(evaluation, () => this.refresh(0));
    this.words = h("span.pl-muted", { role: "status" });
    this.row = h("input.pl-input.pl-sheet-jump", { type: "number", min: 1, "aria-label": "Go to prompt number", placeholder: "Prompt no." });
    this.chooser = h("select.pl-input.pl-sheet-chooser", { "aria-label": "Contestant that is shown" },
      evaluation.contestants.map((one, index) => h("option", { value: index, selected: index === Math.min(1, evaluation.contestants.length - 1) }, one.name)));
    this.make = h("div.pl-row");
    this.place = h("div.pl-sheet-place", skeleton(6));
  }

  start() {
    const { evaluation } = this;
    title(`Grid of “${evaluation.name}”`);
    actions(link("Results", `/evaluation?id=${evaluation.id}`, "pl-button"));
    const jump = h("form.pl-row.pl-sheet-go", { onsubmit: (event) => { event.preventDefault(); this.jump(Number(this.row.value)); } }, this.row, button("Go", null, { type: "submit", kind: "small" }));
    this.page.append(this.bar.element, h("div.pl-row.between", this.words, h("div.pl-row", this.make, jump)), this.chooser, this.place);
    this.chooser.addEventListener("change", () => this.sheet?.redraw(this.columns()));
    narrow.addEventListener("change", () => this.outline && this.draw(this.outline, this.sheet ? this.sheet.seen[0] : 0));
    bind("jump", "g", "Go to a prompt by its number", () => this.row.focus(), "Grid");
    this.refresh(null);
  }

  // `row` is the one to begin with; null: where the address says.
  async refresh(row) {
    this.turn += 1;
    const mine = this.turn;
    try {
      const outline = await get(`/evaluations/${this.evaluation.id}/grid`, filterNow());
      if (mine === this.turn) this.draw(outline, row);
    } catch (error) {
      if (mine === this.turn) fill(this.place, errorCard(error, () => this.refresh(row)));
    }
  }

  draw(outline, row) {
    this.outline = outline;
    const filtered = Object.keys(filterNow()).length > 0;
    this.bar.categories(outline.categories);
    this.stretches = new Stretches(outline.positions);
    this.words.textContent = `${plural(outline.prompts, "prompt")}, ${plural(outline.matches, "match", "matches")}${filtered ? " like that" : ""}`;
    fill(this.make, dataActions(this.evaluation, outline.matches));
    if (!outline.prompts) return void fill(this.place, this.nothing(filtered));
    const height = narrow.matches ? NARROW_HEIGHT : HEIGHT;
    this.sheet?.watch.disconnect();
    this.sheet = new Sheet({
      rows: this.stretches.size, columns: this.columns(), height, label: `Prompts by contestants of ${this.evaluation.name}`,
      ask: (first, amount) => this.ask(first, amount),
      draw: (value, column) => (column ? this.cell(value, this.shown(column)) : prompt(value)),
      open: (value, column) => this.open(value, column),
      moved: (seen) => setParam("at", seen ? this.stretches.position(seen) + 1 : null),
      failed: toastError,
    });
    fill(this.place, this.sheet.element);
    const at = Number(param("at"));
    const begin = row ?? (at ? this.stretches.row(at - 1) : 0);
    if (begin) requestAnimationFrame(() => this.sheet.jump(begin));
  }

  nothing(filtered) {
    if (filtered) return empty("No match is like that", "Take something out of the filter.", null);
    return empty("No matches yet", "The evaluation has no prompts.", link("All evaluations", "/evaluate", "pl-button"));
  }

  async ask(first, amount) {
    const before = first ? this.stretches.position(first - 1) : null;
    const found = await get(`/evaluations/${this.evaluation.id}/grid/rows`, { ...filterNow(), limit: amount, cursor: before });
    return found.items;
  }

  columns() {
    const heads = this.evaluation.contestants.map((one, index) => h("span", named(one.name, "strong"), index ? null : h("span.pl-muted", " baseline")));
    return ["Prompt", ...(narrow.matches ? [heads[Number(this.chooser.value)]] : heads)];
  }

  // Which contestant a column shows.
  shown(column) {
    return narrow.matches ? Number(this.chooser.value) : column - 1;
  }

  cell(value, index) {
    const cell = value.cells[index];
    const inside = [h("span.pl-sheet-marks", index ? ended(cell) : null, cell.marks.map((one) => badge(MARKS[one], "warn"))),
      h("span.pl-sheet-text", cell.excerpt === null ? h("span.pl-muted", cell.error || (cell.match_id ? "No answer yet" : "Not asked")) : cell.excerpt || h("span.pl-muted", "(an empty answer)")),
      cell.characters === null ? null : h("span.pl-muted.pl-note", `${count(cell.characters)} characters`)];
    if (!cell.match_id) return inside;
    return h("a.pl-sheet-answer", { href: this.address(cell), class: index ? kind(cell.score) : "", tabindex: -1 }, inside);
  }

  address = (cell) => `/match?id=${cell.match_id}${filterTail()}`;

  open(value, column) {
    const cell = value.cells[column ? this.shown(column) : Math.min(1, value.cells.length - 1)];
    if (cell.match_id) location.assign(this.address(cell));
  }

  jump(number) {
    if (!this.sheet || !Number.isInteger(number) || number < 1) return;
    this.sheet.jump(this.stretches.row(number - 1));
    this.sheet.element.focus();
  }
}

const kind = (score) => (score === null ? "" : score > 0.5 ? "won" : score < 0.5 ? "lost" : "tie");

function ended({ score, match_id: id }) {
  if (!id) return null;
  if (score === null) return badge("undecided");
  return score > 0.5 ? badge("✓ won", "good") : score < 0.5 ? badge("✗ lost", "bad") : badge("= tie");
}

const prompt = (row) => [
  h("span.pl-sheet-marks", h("span.pl-muted", `${count(row.position + 1)}.`), row.category ? badge(row.category) : null, row.trained_on.length ? badge("seen in training", "warn") : null, row.turns > 1 ? h("span.pl-muted", `${count(row.turns)} messages`) : null),
  h("span.pl-sheet-text", row.prompt),
];
