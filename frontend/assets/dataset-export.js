// Exporting a dataset: the format, what of the data it would lose (counted before the download), and the file.

import { get } from "./api.js";
import { dialog, errorCard, field, fill, h, skeleton } from "./dom.js";
import { plural } from "./format.js";
import { nouns, RULES } from "./kinds.js";
import { choosable, policyFields } from "./policy.js";

const OWN = [["native", "Plumbline rows (JSON lines): nothing is lost"], ["parquet", "Parquet: the same in typed columns"]];
const STYLES = {
  conversational: "Chat messages", standard: "Plain texts", implicit: "Whole conversations, no prompt column", sharegpt: "ShareGPT turns", messages: "Chat messages",
  alpaca: "Alpaca columns", rejected_response: "Rejected answer as text", rejected_messages: "Rejected conversation", jsonl: "JSON lines", lines: "Lines of text", comma: "Commas (CSV)", tab: "Tabs (TSV)",
};
const TURNS = { prompts: [], demonstrations: ["prompts"], unpaired: ["demonstrations", "prompts"], paired: ["unpaired", "demonstrations", "prompts"], ranked: ["paired", "demonstrations", "prompts"] };
const target = (kind, form) => [kind, ...TURNS[kind]].find((one) => form.kinds.includes(one));

export function exportDialog(dataset) {
  return dialog("Export", () => {
    const place = h("div.pl-stack", skeleton(4));
    Promise.all([get("/formats"), choosable(dataset)]).then(([formats, tasks]) => form(place, dataset, formats, tasks), (error) => fill(place, errorCard(error)));
    return place;
  });
}

function form(place, dataset, formats, tasks) {
  const able = formats.filter((one) => one.name !== "native" && target(dataset.kind, one));
  const straight = able.filter((one) => target(dataset.kind, one) === dataset.kind);
  const others = able.filter((one) => !straight.includes(one));
  const format = h("select",
    h("optgroup", { label: "Plumbline" }, OWN.map(([name, words]) => h("option", { value: name }, words))),
    h("optgroup", { label: `Formats for ${nouns(dataset.kind)}` }, straight.map((one) => h("option", { value: one.name }, one.title))),
    others.length ? h("optgroup", { label: "After a change" }, others.map((one) => h("option", { value: one.name }, `${one.title}: ${nouns(target(dataset.kind, one))}`))) : null);
  const more = h("div.pl-stack.tight");
  const losses = h("div.pl-stack.tight", { "aria-live": "polite" });
  const foot = h("div.pl-row.end");
  let turn = 0;

  const draw = () => {
    const one = formats.find((form) => form.name === format.value);
    const becomes = one ? target(dataset.kind, one) : dataset.kind;
    const choices = {};
    const labelled = dataset.kind !== "prompts" && becomes !== "prompts";
    const policy = labelled ? policyFields({ kind: dataset.kind, becomes, decided: Boolean(one && (one.decided || becomes !== dataset.kind)), exporting: true, tasks, onchange: () => look() }) : null;
    const add = (name, words, options) => { choices[name] = h("select", options.map(([value, text]) => h("option", { value }, text))); return field(words, choices[name]); };
    fill(more,
      one?.styles.length > 1 ? add("style", "Written as", one.styles.map((style) => [style.name, STYLES[style.name] || style.name])) : null,
      dataset.kind === "ranked" && ["paired", "demonstrations"].includes(becomes) ? add("rule", "Which answers meet", Object.entries(RULES)) : null,
      policy?.element);
    for (const input of Object.values(choices)) input.addEventListener("change", look);
    function look() { show(Object.fromEntries(Object.entries(choices).map(([name, input]) => [name, input.value])), one, policy?.chosen()); }
    look();
  };
  const show = async (choices, one, policy = {}) => {
    const mine = (turn += 1);
    fill(losses, skeleton(2));
    fill(foot);
    const asked = { format: format.value, ...choices, ...policy };
    let found;
    try {
      found = await get(`/datasets/${dataset.id}/export/losses`, asked);
    } catch (error) {
      if (mine === turn) fill(losses, errorCard(error));
      return;
    }
    if (mine !== turn) return;
    const said = [found.change, ...found.sentences].filter(Boolean);
    fill(losses,
      h("strong", said.length ? "What is lost" : "Nothing is lost"),
      said.length ? h("ul.pl-losses", said.map((line) => h("li", line))) : h("p.pl-muted", "Every item comes back as it is."),
      one?.notes.length ? h("details", h("summary", "About this format"), one.notes.map((note) => h("p.pl-muted", note)), h("pre.pl-mono.pl-wrap", one.example)) : null);
    const address = `/api/v1/datasets/${dataset.id}/export?${new URLSearchParams(asked)}`;
    const words = found.looked_at < found.items ? "Download" : `Download ${plural(found.rows, "row")}`;
    if (found.rows) fill(foot, h("a.pl-button.primary", { href: address, download: "" }, words));
    else fill(foot, h("span.pl-muted", "There is no row to export in this format."));
  };
  format.addEventListener("change", draw);
  fill(place, field("Format", format), more, losses, foot);
  draw();
}
