// Evaluate: every evaluation with its state and main number, and the form for a new one (?new).

import { all, get } from "./api.js";
import { badge, button, empty, fill, h, progress, skeleton, stateBadge, table } from "./dom.js";
import { evaluationForm } from "./evaluate-form.js";
import { importResults } from "./evaluate-import.js";
import { ago, count, plural } from "./format.js";
import { actions, param, setParam, title } from "./frame.js";
import { judgeName } from "./judge-name.js";
import { live, load } from "./live.js";

const MOVING = ["queued", "starting", "running", "stopping"];

export async function mount(element) {
  const page = h("div.pl-page.pl-stack");
  element.append(page);
  await style();
  // "Evaluate" on a checkpoint's page brings it along.
  if (param("new") !== null || param("checkpoints") || param("run")) await showForm(page);
  else await showList(page);
}

const style = () =>
  new Promise((resolve) => {
    const sheet = h("link", { rel: "stylesheet", href: new URL("./evaluate.css", import.meta.url).href });
    sheet.onload = sheet.onerror = resolve;
    document.head.append(sheet);
  });

async function showForm(page) {
  title("New evaluation");
  const back = button("All evaluations", () => location.assign("/evaluate"), { kind: "quiet" });
  actions(back);
  fill(page, skeleton(5));
  await load(page, materials, ({ checkpoints, models, datasets, judges, harness }) => {
    if (checkpoints.length < 2) return void page.append(tooFew(checkpoints.length));
    page.append(evaluationForm({ checkpoints, models, datasets, judges, harness, again: async () => writing(await every("/checkpoints")), chosen: (param("checkpoints") || "").split(",").filter(Boolean), run: param("run") || "" }));
    return null;
  });
}

async function materials() {
  const [models, datasets, judges, harness] = await Promise.all([every("/checkpoints"), every("/datasets"), get("/judges"), get("/harness")]);
  return { checkpoints: writing(models), models, datasets, judges: judges.items, harness };
}

async function every(path) {
  const found = [];
  for await (const one of all(path, { limit: 100 })) found.push(one);
  return found;
}

const writing = (models) => models.filter((one) => one.kind === "language_model");

const tooFew = (number) =>
  empty(
    "Two checkpoints make an evaluation",
    number ? "There is one checkpoint. Train a run on it, or register another one, to have something to compare." : "There is no checkpoint yet. Register one, or start with the toy world's.",
    h("a.pl-button.primary", { href: number ? "/new-run" : "/checkpoints" }, number ? "Launch a run" : "Register a checkpoint"),
    h("a.pl-button", { href: "/checkpoints" }, "Checkpoints"),
  );

async function showList(page) {
  const open = () => {
    setParam("new", "1");
    return showForm(page);
  };
  actions(button("Import results", importResults), button("New evaluation", open, { kind: "primary" }));
  await load(page, () => get("/evaluations", { limit: 50 }), (first) => {
    if (!first.items.length) {
      page.append(empty("No evaluations yet", "An evaluation lets two or more checkpoints answer the same prompts and tells who wins, with an interval.",
        button("New evaluation", open, { kind: "primary" }), h("a.pl-button", { href: "/compare" }, "Compare by hand")));
      return;
    }
    const place = h("div");
    const more = h("div.pl-row.center");
    page.append(place, more);
    let rows = first.items;
    const draw = () => fill(place, table("Evaluations", COLUMNS, rows, { onrow: (row) => location.assign(`/evaluation?id=${row.id}`) }));
    draw();
    further(more, first.next_cursor, (items) => {
      rows = [...rows, ...items];
      draw();
    });
    if (!rows.some((row) => MOVING.includes(row.state))) return;
    live(async (signal) => {
      const fresh = new Map((await get("/evaluations", { limit: 50 }, { signal })).items.map((row) => [row.id, row]));
      const changed = rows.some((row) => fresh.has(row.id) && JSON.stringify(fresh.get(row.id)) !== JSON.stringify(row));
      rows = rows.map((row) => fresh.get(row.id) || row);
      if (changed) draw();
      return rows.some((row) => MOVING.includes(row.state)) ? changed : "done";
    }, { seconds: 1.5 });
  });
}

function further(place, cursor, grow) {
  if (!cursor) return void fill(place);
  return void fill(place, button("Show more", async () => {
    const page = await get("/evaluations", { limit: 50, cursor });
    grow(page.items);
    further(place, page.next_cursor, grow);
  }));
}

const COLUMNS = [
  { title: "Name", cell: (row) => h("a", { href: `/evaluation?id=${row.id}` }, row.name) },
  { title: "State", cell: (row) => h("div.pl-eval-state", stateBadge(row.state), MOVING.includes(row.state) ? progress(row.done, row.total) : null) },
  { title: "Contestants", cell: contestants },
  { title: "Prompts", cell: (row) => count(row.prompts.count), kind: "number" },
  { title: "Judge", cell: (row) => judgeName(row.judge.name, row) },
  { title: "Started", cell: (row) => ago(row.created_at) },
];

function contestants(row) {
  const [base, ...others] = row.contestants;
  const rest = others.length > 2 ? plural(others.length, "checkpoint") : others.map((one) => one.name).join(", ");
  return h("span.pl-wrap", rest, h("span.pl-muted", " against "), base.name, row.contestants.some((one) => one.toy) ? [" ", badge("toy", "warn")] : null);
}
