// Import in three steps: choose a file, look how it will be read, watch it come in. Each step has an address of its own.

import { get } from "./api.js";
import { button, errorCard, fill, h, progress, skeleton, toast } from "./dom.js";
import { bytes, percent } from "./format.js";
import { param, setParam } from "./frame.js";
import { previewStep } from "./import-preview.js";
import { hubSource, serverSource } from "./import-sources.js";
import { watchStep } from "./import-watch.js";
import { send } from "./upload.js";

const STEPS = ["Choose the data", "Look how it is read", "Import"];

export async function mount(element) {
  const marks = h("ol.pl-steps", { "aria-label": "Steps" });
  const body = h("div.pl-stack");
  element.append(h("div.pl-page.pl-stack", marks, body));
  const go = (step, draw) => {
    fill(marks, STEPS.map((name, index) => h("li", { class: index < step ? "done" : "", "aria-current": index === step ? "step" : null }, h("span", index < step ? "✓" : String(index + 1)), name)));
    draw();
  };

  const choose = () => {
    setParam("upload", null);
    setParam("import", null);
    go(0, () => sourceStep(body, preview));
  };
  const preview = (upload) => {
    setParam("from", null);
    setParam("upload", upload.id);
    setParam("file", upload.filename);
    go(1, () => previewStep(body, upload, { back: choose, started }));
  };
  const started = (row) => {
    setParam("upload", null);
    setParam("file", null);
    setParam("import", row.id);
    go(2, () => watchStep(body, row.id, { again: () => preview({ id: row.upload_id, filename: row.filename }), choose }));
  };

  if (param("import")) {
    try {
      started(await get(`/imports/${encodeURIComponent(param("import"))}`));
    } catch (error) {
      fill(body, errorCard(error), h("div.pl-row", button("Import another file", choose)));
    }
  } else if (param("upload")) {
    preview({ id: param("upload"), filename: param("file") || "upload" });
  } else {
    choose();
  }
}

// Step 1: a file of one's own, a dataset of a hub, or files of the server.
function sourceStep(place, ontaken) {
  const under = h("div.pl-stack");
  const sources = { file: ["A file", chooseStep], hub: ["From a hub", hubSource], server: ["On the server", serverSource] };
  const buttons = Object.entries(sources).map(([name, [text, draw]]) => h("button", { type: "button", value: name, onclick: () => show(name, draw) }, text));
  const show = (name, draw) => {
    setParam("from", name === "file" ? null : name);
    buttons.forEach((one) => one.setAttribute("aria-pressed", String(one.value === name)));
    draw(under, ontaken);
  };
  fill(place, h("div.pl-row", h("div.pl-segments", { role: "group", "aria-label": "Where the data are" }, buttons)), under);
  const wanted = param("from") in sources ? param("from") : "file";
  show(wanted, sources[wanted][1]);
}

// A file by drop, by click or by keyboard.
function chooseStep(place, onuploaded) {
  const input = h("input.pl-hidden", { type: "file", accept: ".jsonl,.ndjson,.json,.parquet,.csv,.tsv,.txt,.gz,.zst", id: "pl-file", "aria-label": "File to import" });
  const under = h("div", { "aria-live": "polite" });
  const zone = h("label.pl-drop", { for: "pl-file" },
    h("strong", "Drop a file here, or click to choose one"),
    h("span.pl-muted", "JSON lines, JSON, Parquet, CSV or lines of text. The format of its rows is told by their content."));
  const take = (files) => {
    if (files.length > 1) toast("One file at a time: the first was taken.");
    if (files.length) upload(files[0], under, zone, onuploaded);
  };
  input.addEventListener("change", () => take(input.files));
  for (const name of ["dragenter", "dragover"]) zone.addEventListener(name, (event) => { event.preventDefault(); zone.classList.add("over"); });
  for (const name of ["dragleave", "drop"]) zone.addEventListener(name, () => zone.classList.remove("over"));
  zone.addEventListener("drop", (event) => { event.preventDefault(); take(event.dataTransfer.files); });
  fill(place, input, zone, under, formats());
}

async function upload(file, under, zone, onuploaded) {
  const bar = h("div");
  const sending = send(file, (sent, total) => fill(bar, progress(sent, total, "Upload"), h("p.pl-muted", `${bytes(sent)} of ${bytes(total)} (${percent(total ? sent / total : 0)})`)));
  zone.hidden = true;
  fill(under, h("div.pl-card.pl-stack", h("strong.pl-cut", file.name), bar, h("div.pl-row", button("Cancel", sending.cancel))));
  try {
    const row = await sending.promise;
    if (row) {
      onuploaded(row);
      return;
    }
    fill(under);
  } catch (error) {
    fill(under, errorCard(error));
  }
  zone.hidden = false;
}

// What is understood, by example; the catalogue of formats says it.
function formats() {
  const list = h("div");
  const details = h("details.pl-card", h("summary", "What can a row look like?"), list);
  details.addEventListener("toggle", async () => {
    if (!details.open || list.childElementCount) return;
    fill(list, skeleton(4));
    try {
      const known = await get("/formats");
      fill(list, h("dl.pl-facts.pl-examples", known.map((one) => [h("dt", one.title), h("dd.pl-mono.pl-wrap", one.example)])));
    } catch (error) {
      fill(list, errorCard(error));
    }
  });
  return details;
}
