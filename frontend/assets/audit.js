// The audit log: who did what and when, filtered, by page and as a file. It can only be read.

import { get } from "./api.js";
import { button, field, fill, h, table } from "./dom.js";
import { ago } from "./format.js";
import { actions, isAdmin, param, setParam } from "./frame.js";
import { load } from "./live.js";
import { save } from "./save.js";

const DAYS = { "": "ever", 1: "the last day", 7: "the last 7 days", 30: "the last 30 days" };

export async function mount(element) {
  const list = h("div.pl-stack");
  const bar = h("div.pl-row");
  const state = { scope: param("scope") === "instance" && isAdmin ? "instance" : "project", action: param("action") ?? "", noun: param("noun") ?? "", user: "", days: "" };
  const query = () => ({
    scope: state.scope, action: state.action || undefined, noun: state.noun || undefined, user: state.user || undefined,
    since: state.days ? new Date(Date.now() - state.days * 86_400_000).toISOString() : undefined,
  });
  const refresh = () => load(list, () => get("/audit", query()), (page) => draw(list, page, query));
  const set = (name, value) => { state[name] = value; if (name !== "user" && name !== "days") setParam(name, value || null); };
  const filters = async () => {
    const kinds = await get("/audit/kinds", { scope: state.scope });
    const people = state.scope === "instance" ? (await get("/users")).items.map((one) => [one.id, one.name]) : (await get("/members")).items.map((one) => [one.user_id, one.name]);
    const choice = (label, name, options) => {
      const input = h("select", options.map(([key, text]) => h("option", { value: key, selected: key === state[name] }, text)));
      input.addEventListener("change", async () => {
        set(name, input.value);
        if (name === "scope") await filters();
        await refresh();
      });
      return field(label, input);
    };
    const words = (found) => [["", "all"], ...found.map((word) => [word, word])];
    fill(bar,
      isAdmin && choice("Of", "scope", [["project", "this project"], ["instance", "everything"]]),
      choice("Action", "action", words(kinds.actions)),
      choice("What", "noun", words(kinds.nouns)),
      choice("Who", "user", [["", "everybody"], ...people]),
      choice("When", "days", Object.entries(DAYS).sort(([a], [b]) => a - b)));
  };
  actions(button("Download CSV", () => save("/audit/file", { ...query(), format: "csv" }, "audit.csv")), button("JSON lines", () => save("/audit/file", { ...query(), format: "jsonl" }, "audit.jsonl")));
  element.append(h("div.pl-page.pl-stack", h("p.pl-muted", "Who gave away, deleted or changed what. Nothing here can be changed or deleted."), bar, list));
  await load(bar, async () => null, filters);
  await refresh();
}

// Details are told as `name: value`; everything is text.
const told = (detail) => Object.entries(detail).filter(([, value]) => value !== null).map(([name, value]) => `${name}: ${typeof value === "object" ? JSON.stringify(value) : value}`).join(", ");

const columns = [
  { title: "When", cell: (one) => h("span", { title: new Date(one.created_at).toLocaleString() }, ago(one.created_at)) },
  { title: "Who", cell: (one) => one.user ?? h("span.pl-muted", "nobody signed in") },
  { title: "Did", cell: (one) => h("strong", `${one.action} ${one.noun}`) },
  { title: "Project", cell: (one) => one.project ?? h("span.pl-muted", one.project_id ? "deleted" : "–") },
  { title: "Details", cell: (one) => h("span.pl-wrap", told(one.detail)) },
  { title: "From", cell: (one) => h("span.pl-mono", one.ip ?? "") },
];

function draw(list, page, query) {
  const rows = h("div");
  const foot = h("div.pl-row.center");
  let seen = [];
  const show = ({ items, next_cursor: cursor }) => {
    seen = [...seen, ...items];
    fill(rows, table("Audit log", columns, seen, { none: "Nothing of that kind was done." }));
    fill(foot, cursor && button("Earlier", async () => show(await get("/audit", { ...query(), cursor }))));
  };
  list.append(rows, foot);
  show(page);
}
