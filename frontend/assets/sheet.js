// A table of very many rows: only those that are seen are drawn, and only they and their neighbours are asked for.

import { fill, h } from "./dom.js";

const AROUND = 6; // rows drawn above and below what is seen
const CHUNK = 50; // rows asked for at once
const KEPT = 12; // chunks that stay in memory
const REST = 70; // milliseconds without scrolling before rows are asked for

// new Sheet({ rows, columns, height, ask, draw, open, moved, label }): `ask(first, count)` gives rows, `draw(row, column)`
// what stands in a cell (column 0 names the row), `open(row, column)` is Enter, `moved(row)` where one stands.
export class Sheet {
  constructor(options) {
    Object.assign(this, options);
    this.chunks = new Map();
    this.active = [0, 0];
    this.canvas = h("div.pl-sheet-canvas", { role: "presentation", style: { height: `${this.rows * this.height}px` } });
    this.head = h("div.pl-sheet-head", { role: "row", "aria-rowindex": 1 });
    this.element = h("div.pl-sheet", {
      role: "grid", tabindex: 0, "aria-label": this.label, "aria-rowcount": this.rows + 1, style: { "--pl-sheet-row": `${this.height}px` },
    }, this.head, this.canvas);
    this.element.addEventListener("scroll", () => this.scrolled(), { passive: true });
    this.element.addEventListener("keydown", (event) => this.key(event));
    this.element.addEventListener("focus", () => this.mark());
    this.watch = new ResizeObserver(() => this.paint());
    this.watch.observe(this.element);
    this.drawHead();
  }

  drawHead() {
    this.element.style.setProperty("--pl-sheet-columns", this.columns.length);
    this.element.setAttribute("aria-colcount", this.columns.length);
    fill(this.head, this.columns.map((one, column) => h("div.pl-sheet-cell", { role: "columnheader", "aria-colindex": column + 1 }, one)));
  }

  // Other columns, or another look at the same rows.
  redraw(columns = this.columns) {
    this.columns = columns;
    this.active[1] = Math.min(this.active[1], columns.length - 1);
    this.drawHead();
    this.paint(true);
  }

  get seen() {
    const first = Math.max(0, Math.floor(this.element.scrollTop / this.height));
    return [first, Math.min(this.rows, first + Math.ceil(this.element.clientHeight / this.height) + 1)];
  }

  scrolled() {
    this.paint();
    clearTimeout(this.resting);
    this.resting = setTimeout(() => {
      this.fetch();
      this.moved(this.seen[0]);
    }, REST);
  }

  paint(anew = false) {
    const [first, last] = this.seen;
    const [from, to] = [Math.max(0, first - AROUND), Math.min(this.rows, last + AROUND)];
    const known = new Map([...this.canvas.children].map((one) => [Number(one.dataset.row), one]));
    for (const [row, element] of known) if (anew || row < from || row >= to) element.remove();
    for (let row = from; row < to; row += 1) {
      const there = anew ? null : known.get(row);
      const value = this.at(row);
      if (there && (there.dataset.waits === undefined || !value)) continue;
      const drawn = this.line(row, value);
      if (there?.isConnected) there.replaceWith(drawn);
      else this.canvas.append(drawn);
    }
    this.mark();
    if (!this.asked) this.fetch();
  }

  line(row, value) {
    const cells = this.columns.map((_, column) => h("div.pl-sheet-cell", { role: column ? "gridcell" : "rowheader", id: `pl-cell-${row}-${column}`, "aria-colindex": column + 1, onclick: (event) => { if (!event.target.closest("a")) this.go(row, column, false); } },
      value ? this.draw(value, column) : h("span.pl-skeleton")));
    const line = h("div.pl-sheet-row", { role: "row", "aria-rowindex": row + 2, style: { transform: `translateY(${row * this.height}px)` } }, cells);
    line.dataset.row = row;
    if (!value) line.dataset.waits = "";
    return line;
  }

  at(row) {
    const chunk = this.chunks.get(Math.floor(row / CHUNK));
    return Array.isArray(chunk) ? chunk[row % CHUNK] : null;
  }

  // What is seen and not there yet.
  fetch() {
    if (!this.rows || !this.element.clientHeight) return;
    this.asked = true;
    const [first, last] = this.seen;
    for (let chunk = Math.floor(first / CHUNK); chunk <= Math.floor(Math.max(first, last - 1) / CHUNK); chunk += 1) {
      if (!this.chunks.has(chunk)) this.load(chunk);
    }
  }

  async load(chunk) {
    this.chunks.set(chunk, "asked");
    try {
      const found = await this.ask(chunk * CHUNK, CHUNK);
      this.chunks.set(chunk, found);
      const far = [...this.chunks.keys()].sort((one, other) => Math.abs(other - chunk) - Math.abs(one - chunk));
      for (const one of far.slice(0, Math.max(0, this.chunks.size - KEPT))) this.chunks.delete(one);
      this.paint();
    } catch (error) {
      this.chunks.delete(chunk);
      this.failed(error);
    }
  }

  // Stand on a cell and see it.
  go(row, column = this.active[1], scroll = true) {
    this.active = [Math.max(0, Math.min(this.rows - 1, row)), Math.max(0, Math.min(this.columns.length - 1, column))];
    const top = this.active[0] * this.height;
    const room = this.element.clientHeight - this.head.offsetHeight - this.height;
    if (scroll && (top < this.element.scrollTop || top > this.element.scrollTop + room)) {
      this.element.scrollTop = top < this.element.scrollTop ? top : top - room;
    }
    this.paint();
    const cell = document.getElementById(`pl-cell-${this.active[0]}-${this.active[1]}`);
    if (scroll && cell && this.active[1]) cell.scrollIntoView({ block: "nearest", inline: "nearest" });
  }

  // See a row at the top.
  jump(row) {
    this.active[0] = Math.max(0, Math.min(this.rows - 1, row));
    this.element.scrollTop = this.active[0] * this.height;
    this.paint();
    this.fetch();
  }

  mark() {
    this.canvas.querySelector(".pl-sheet-active")?.classList.remove("pl-sheet-active");
    const cell = document.getElementById(`pl-cell-${this.active[0]}-${this.active[1]}`);
    cell?.classList.add("pl-sheet-active");
    if (cell) this.element.setAttribute("aria-activedescendant", cell.id);
    else this.element.removeAttribute("aria-activedescendant");
  }

  key(event) {
    if (event.target !== this.element) return;
    const [row, column] = this.active;
    const page = Math.max(1, Math.floor(this.element.clientHeight / this.height) - 1);
    const whole = event.ctrlKey || event.metaKey;
    const moves = {
      ArrowDown: [row + 1, column], ArrowUp: [row - 1, column], ArrowRight: [row, column + 1], ArrowLeft: [row, column - 1],
      PageDown: [row + page, column], PageUp: [row - page, column],
      Home: [whole ? 0 : row, whole ? column : 0], End: [whole ? this.rows - 1 : row, whole ? column : this.columns.length - 1],
    };
    if (event.key in moves) this.go(...moves[event.key]);
    else if (event.key === "Enter" && this.at(row)) this.open(this.at(row), column);
    else return;
    event.preventDefault();
  }
}
