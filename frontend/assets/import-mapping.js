// Which column is what: the form that reads CSV, and whatever columns no format knows, by a mapping.

import { button, field, h, showError } from "./dom.js";

const SHAPES = [
  ["chosen", "A better and a worse response", [["chosen", "Better response"], ["rejected", "Worse response"]], [["score_a", "Score of the better"], ["score_b", "Score of the worse"]]],
  ["response_a", "Two responses side by side", [["response_a", "First response"], ["response_b", "Second response"]], [["label", "Which is better (a, b, tie)"], ["strength", "How much: -3 to 3, above 0 for the first"], ["score_a", "Score of the first"], ["score_b", "Score of the second"], ["annotator", "Who judged"], ["rationale", "Why"]]],
  ["response", "One response", [["response", "Response"]], [["label", "Is it wanted (true, false)"], ["score_a", "Score"]]],
  ["", "A prompt alone", [], []],
];
const DELIMITERS = [["", "As detected"], [",", "Comma"], [";", "Semicolon"], ["\t", "Tab"], ["|", "Bar"]];
const ENCODINGS = [["", "As detected"], ["utf-8", "UTF-8"], ["windows-1252", "Windows (western)"], ["utf-16", "UTF-16"]];
const NEED = "Choose a column.";

export function mappingForm(preview, use) {
  const mapping = preview.mapping || {};
  const chosen = new Map(Object.entries(mapping));
  const shape = select(SHAPES.map(([key, words]) => [key, words]), SHAPES.find(([key]) => key && mapping[key])?.[0] ?? (mapping.prompt ? "" : "chosen"));
  const places = h("div.pl-stack.tight");
  const laidOut = preview.delimiter || preview.encoding;
  const delimiter = select(DELIMITERS, mapping.delimiter || "");
  const encoding = select(ENCODINGS, mapping.encoding || "");
  let needed = [];
  let optional = [];

  const column = ([role, words], none) => {
    const input = select([["", none], ...preview.columns.map((name) => [name, name])], chosen.get(role) || "");
    input.addEventListener("change", () => chosen.set(role, input.value));
    const place = field(words, input);
    return { role, input, place };
  };
  const draw = () => {
    const [, , wants, may] = SHAPES.find(([key]) => key === shape.value);
    needed = [["prompt", "Prompt"], ...wants].map((role) => column(role, "Choose…"));
    optional = [["system", "System turn"], ...may].map((role) => column(role, "None"));
    places.replaceChildren(
      ...needed.map((one) => one.place),
      h("details", { open: optional.some((one) => one.input.value) }, h("summary", "More columns"), h("div.pl-stack.tight", optional.map((one) => one.place))));
  };
  const send = (event) => {
    event.preventDefault();
    for (const one of needed) showError(one.place, one.input.value ? "" : NEED);
    const lacking = needed.find((one) => !one.input.value);
    if (lacking) {
      lacking.input.focus();
      return;
    }
    const columns = Object.fromEntries([...needed, ...optional].filter((one) => one.input.value).map((one) => [one.role, one.input.value]));
    const twice = [...needed, ...optional].find((one, index, all) => one.input.value && all.findIndex((other) => other.input.value === one.input.value) < index);
    if (twice) {
      showError(twice.place, "This column is named twice.");
      twice.input.focus();
      return;
    }
    for (const kept of ["aspects", "values", "others"]) if (mapping[kept] !== undefined) columns[kept] = mapping[kept];
    if (laidOut) Object.assign(columns, { delimiter: delimiter.value || null, encoding: encoding.value || null });
    use(columns);
  };
  shape.addEventListener("change", draw);
  draw();
  return h("form.pl-card.pl-stack", { onsubmit: send, novalidate: true },
    h("h2", "Which column is what"),
    field("Each row holds", shape), places,
    laidOut ? h("details", { open: Boolean(mapping.delimiter || mapping.encoding) }, h("summary", "How the file is laid out"), h("div.pl-stack.tight", field("Cells are parted by", delimiter), field("Encoding", encoding))) : null,
    h("p.pl-help", "Columns that are not named here stay beside the rows."),
    h("div.pl-row.end", button("Read it so", null, { type: "submit" })));
}

const select = (options, value) =>
  h("select", options.map(([key, words]) => h("option", { value: key, selected: key === value }, words)));
