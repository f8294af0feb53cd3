// Results of other tools: a file is looked at, its bad rows are told, and it becomes an evaluation.

import { newKey, post } from "./api.js";
import { button, dialog, errorCard, field, fill, h, progress } from "./dom.js";
import { count, plural } from "./format.js";
import { send } from "./upload.js";

export const importResults = () => dialog("Import results", (close) => new Importer(close).element, { wide: true });

class Importer {
  constructor(close) {
    this.close = close;
    this.file = h("input", { type: "file", accept: ".json,.jsonl" });
    this.place = h("div.pl-stack", { "aria-live": "polite" });
    this.file.addEventListener("change", () => this.look());
    this.element = h("div.pl-stack", h("p.pl-muted", "AlpacaEval outputs or annotations, FastChat battles, or Arena-Hard judgments: JSON or JSON lines, up to 64 MiB and 20 000 rows."),
      field("File", this.file), this.place);
  }

  async look() {
    const [file] = this.file.files;
    if (!file) return;
    const bar = h("div");
    fill(this.place, bar);
    try {
      this.upload = await send(file, (sent, total) => fill(bar, progress(sent, total, "Sending the file"))).promise;
      const found = await post("/evaluations/imports/preview", { upload_id: this.upload.id });
      this.show(found, file.name.replace(/\.jsonl?$/, "").slice(0, 120));
    } catch (error) {
      fill(this.place, errorCard(error));
    }
  }

  show(found, name) {
    if (!found.matches) return void this.keep(found);
    this.name = h("input", { type: "text", maxlength: 120, value: name });
    this.baseline = h("select", found.contestants.map((one) => h("option", { value: one }, one)));
    const facts = [["Kind", found.kind], ["Matches", `${count(found.matches)} on ${plural(found.prompts, "prompt")}`], ["Judged by", found.judges.join(", ") || "nobody yet"], ["Texts", found.texts ? "in the file" : "not in the file: the verdicts count, there is nothing to read"]];
    const row = ({ prompt, a, b, probability }) => h("li", h("span.pl-cut", prompt), h("span.pl-muted", probability === null ? ` ${a} against ${b}` : ` ${probability > 0.5 ? `${a} won` : probability < 0.5 ? `${b} won` : "tie"}`));
    const start = button(`Import ${plural(found.matches, "match", "matches")}`, null, { type: "submit", kind: "primary" });
    this.trouble = h("div");
    const key = newKey();
    fill(this.place, h("form.pl-stack", { novalidate: true, onsubmit: (event) => { event.preventDefault(); this.take(key, start); } },
      h("dl.pl-facts", facts.map(([title, value]) => [h("dt", title), h("dd", value)])), h("ul", found.shown.map(row)),
      found.left_out ? h("details.pl-card.warn", h("summary", `${plural(found.left_out, "row")} left out`), h("ul", found.errors.map((one) => h("li", one)))) : null,
      this.gamed(found), field("Name", this.name), field("Baseline", this.baseline, { help: "The others are measured against it." }), this.trouble, h("div.pl-row.end", start)));
  }

  // AlpacaEval's own length-controlled rate needs a second file.
  gamed(found) {
    this.difficulties = h("input", { type: "file", accept: ".csv,.jsonl" });
    const help = "AlpacaEval 2's df_gamed.csv, with the difficulty of its prompts: the report then tells AlpacaEval's own length-controlled rate. Leave it out for other prompts.";
    return found.kind === "AlpacaEval annotations" ? field("Difficulties", this.difficulties, { help }) : null;
  }

  // Outputs of one model meet nobody in the file: they are kept to meet checkpoints on the same prompts.
  keep(found) {
    const key = newKey();
    this.trouble = h("div");
    const start = button(`Keep ${plural(found.answers, "output")} as a contestant`, async () => {
      try {
        const made = await post("/evaluations/imports/outputs", { upload_id: this.upload.id }, { key });
        location.assign(`/evaluate?new=1&checkpoints=${made.contestants.map((one) => one.id).join(",")}`);
      } catch (error) {
        fill(this.trouble, errorCard(error));
      }
    }, { kind: "primary" });
    fill(this.place, h("p", `Outputs of ${found.contestants.join(", ")} on ${plural(found.prompts, "prompt")}. They can meet checkpoints on the same prompts in a new evaluation.`),
      found.left_out ? h("details.pl-card.warn", h("summary", `${plural(found.left_out, "row")} left out`), h("ul", found.errors.map((one) => h("li", one)))) : null, this.trouble, h("div.pl-row.end", start));
  }

  async take(key, start) {
    start.setAttribute("aria-busy", "true");
    try {
      const [gamed] = this.difficulties.files;
      const more = gamed ? { gamed_upload_id: (await send(gamed, () => {}).promise).id } : {};
      const made = await post("/evaluations/imports", { upload_id: this.upload.id, name: this.name.value, baseline: this.baseline.value, ...more }, { key });
      location.assign(`/evaluation?id=${made.id}`);
    } catch (error) {
      fill(this.trouble, errorCard(error));
    }
    start.removeAttribute("aria-busy");
  }
}
