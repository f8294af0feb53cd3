// Step 2 of an import: the detected format, the first rows as they will be, what is wrong, and the choices before it starts.

import { get, newKey, post } from "./api.js";
import { badge, button, errorCard, field, fill, h, showError, skeleton, table } from "./dom.js";
import { plural } from "./format.js";
import { mappingForm } from "./import-mapping.js";
import { surveyForm } from "./import-survey.js";
import { itemCard, problemColumns } from "./items.js";
import { nouns, purpose } from "./kinds.js";

export async function previewStep(place, upload, { back, started }, { format = null, columns = null, survey = null, config = null } = {}) {
  fill(place, skeleton(6));
  let preview;
  let before;
  try {
    const path = `/uploads/${encodeURIComponent(upload.id)}`;
    [preview, { imported: before }] = await Promise.all([post(`${path}/preview`, { format, columns, survey, config }), get(path)]);
  } catch (error) {
    fill(place, errorCard(error), h("div.pl-row", button("Choose another file", back)));
    return;
  }
  const again = (choice) => previewStep(place, upload, { back, started }, choice);
  const mapped = preview.format === "mapped" || !preview.format;
  fill(place, h("div.pl-split", rows(preview), h("div.pl-stack",
    facts(preview, upload, again),
    mapped ? mappingForm(preview, (named) => again({ columns: named })) : null,
    preview.parts ? surveyForm(preview, preview.format, again) : null,
    form(preview, upload, { columns, survey: preview.survey, before }, { back, started }))));
}

function rows(preview) {
  const { problems } = preview;
  return h("div.pl-stack",
    problems.length
      ? h("section.pl-card.warn", h("h2", `${plural(problems.length, "problem")} in the first ${plural(preview.rows_looked_at, "row")}`), table("Problems", problemColumns, problems))
      : null,
    h("section.pl-stack",
      h("h2", preview.rows.length ? "The first rows, as they will be" : "No row can be read in this format"),
      preview.rows.map((row) => itemCard(row, badge(`row ${row.line}`)))));
}

function facts(preview, upload, again) {
  const choice = h("select", preview.formats.map((one) => h("option", { value: one.name, selected: one.name === preview.format }, one.title)));
  if (!preview.format) choice.prepend(h("option", { value: "", selected: true, disabled: true }, "Choose a format"));
  choice.addEventListener("change", () => again({ format: choice.value }));
  const overridden = preview.format !== preview.detected;
  const could = preview.candidates.map((name) => preview.formats.find((one) => one.name === name)?.title || name);
  const help = could.length
    ? `It could be ${could.join(" or ")}: choose.`
    : !preview.detected
    ? "No known format was recognized: choose one, or say which column is what."
    : overridden ? "Not what was detected: check the rows." : "Detected from the rows.";
  return h("section.pl-card.pl-stack",
    h("h2.pl-cut", { title: upload.filename }, upload.filename),
    h("dl.pl-facts",
      h("dt", "Read as"), h("dd", preview.description),
      h("dt", "File"), h("dd", preview.container),
      preview.kind ? [h("dt", "Holds"), h("dd", nouns(preview.kind), h("br"), h("small.pl-help", purpose(preview.kind)))] : null,
      h("dt", "Columns"), h("dd.pl-mono", preview.columns.join(", ") || "–")),
    field("Format of the rows", choice, { help }));
}

function form(preview, upload, { columns, survey, before }, { back, started }) {
  const key = newKey();
  const undecided = preview.parts && !survey;
  const name = field("Name of the dataset", h("input", { maxlength: 120, required: true, value: suggested(upload.filename) }));
  const keep = (strict, text, help) => h("label.pl-check.pl-choice-line", h("input", { type: "radio", name: "pl-strict", value: String(strict), checked: !strict }), h("span", text, h("br"), h("small.pl-help", help)));
  const failed = h("div");
  const go = button("Start import", null, { kind: "primary", type: "submit", disabled: undecided ? "Say what the export means first." : preview.format ? null : "Choose the format of the rows first." });
  const send = async (event) => {
    event.preventDefault();
    if (!preview.format || undecided || go.classList.contains("busy")) return;
    go.classList.add("busy");
    showError(name, "");
    fill(failed);
    const strict = event.target.elements["pl-strict"].value === "true";
    const body = { upload_id: upload.id, name: name.querySelector("input").value, format: preview.format, columns, survey, again: before.length > 0, abort_on_bad_row: strict };
    try {
      started(await post("/imports", body, { key: `${key}-${await digest(body)}` }));
    } catch (error) {
      if (error.field === "name") showError(name, [error.detail, error.remedy].filter(Boolean).join(" "));
      else fill(failed, errorCard(error));
    } finally {
      go.classList.remove("busy");
    }
  };
  return h("form.pl-card.pl-stack", { onsubmit: send, novalidate: true }, before.length ? imported(before) : null, name,
    h("fieldset.pl-fieldset.pl-bad-rows", h("legend", "If a row is bad"),
      keep(false, "Leave it out and go on", "Good rows are kept; bad ones are listed with line, field and reason."),
      keep(true, "Stop, and keep nothing", "The dataset is made only if every row is good.")),
    failed,
    h("div.pl-row.end", button("Back", back), go));
}

// What says that these very data are here already: going on makes a second dataset of them.
const imported = ([last, ...more]) => h("div.pl-note.warn", { role: "status" },
  h("strong", "Imported before"), h("p", "The same data ", last.dataset_id ? ["are here as ", h("a", { href: `/dataset?id=${last.dataset_id}` }, `“${last.name}”`)] : `are being imported as “${last.name}”`,
    more.length ? ` and ${plural(more.length, "other dataset")}` : "", ". Starting makes another dataset of them, under another name."));

// One key per intended action: a changed name is another action.
const digest = async (body) => JSON.stringify(body).split("").reduce((sum, letter) => (Math.imul(sum, 31) + letter.codePointAt(0)) >>> 0, 7).toString(36);

const suggested = (filename) => filename.replace(/\.(jsonl|ndjson|json|parquet|csv|tsv|txt)$/i, "").replaceAll("_", " ").slice(0, 120).trim();
