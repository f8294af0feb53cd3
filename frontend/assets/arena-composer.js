// Where a prompt for the arena is written: who answers, how, and the prompts of before.

import { all, get } from "./api.js";
import { button, fill, h, toast, toastError } from "./dom.js";
import { param } from "./frame.js";
import { samplingForm } from "./sampling.js";

const REMEMBERED = 10;
const LONGEST = 50_000;

export class Composer {
  constructor(onask) {
    this.onask = onask;
    this.past = [];
    this.text = h("textarea.pl-input.pl-composer-text", { rows: 2, maxlength: LONGEST, placeholder: "Type a prompt for two checkpoints…", "aria-label": "Prompt" });
    this.error = h("small.pl-field-error", { role: "alert" });
    this.send = button("Ask both", () => this.ask(), { kind: "primary", key: "Enter" });
    this.who = h("span.pl-row.pl-composer-who");
    this.history = h("select.pl-input.pl-composer-past", { "aria-label": "Earlier prompts" });
    this.suggest = button("Suggest one", () => this.suggestion(), { kind: "quiet small", title: "A prompt from your datasets" });
    this.sampling = samplingForm();
    this.selects = null;
    this.element = this.draw();
  }

  draw() {
    this.text.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      this.ask();
    });
    this.text.addEventListener("input", () => this.grow());
    this.history.addEventListener("change", () => {
      const index = Number(this.history.value);
      this.history.value = "";
      if (this.past[index] !== undefined) this.take(this.past[index]);
    });
    this.history.hidden = true;
    this.suggest.hidden = true;
    return h(
      "section.pl-card.pl-composer",
      { "aria-label": "New comparison" },
      this.text,
      this.error,
      h("div.pl-row.between", h("div.pl-row", this.who, this.history, this.suggest), this.send),
      h("details.pl-composer-more", h("summary", "Sampling"), this.sampling.element),
    );
  }

  // The checkpoints to choose from; null when the person may not list them: then chance chooses.
  offer(checkpoints) {
    if (!checkpoints) return void fill(this.who, h("span.pl-muted", "Two checkpoints are drawn by lot."));
    const options = () => [h("option", { value: "" }, "Surprise me"), checkpoints.map((one) => h("option", { value: one.id }, one.name))];
    this.selects = ["First checkpoint", "Second checkpoint"].map((label) => h("select.pl-input", { "aria-label": label }, options()));
    for (const select of this.selects) select.addEventListener("change", () => this.pairUp(select));
    // "Compare" on a run's or checkpoint's page names both.
    const named = (param("checkpoints") || "").split(",");
    if (named.length === 2 && named.every((id) => checkpoints.some((one) => one.id === id))) this.selects.forEach((select, at) => { select.value = named[at]; });
    fill(this.who, this.selects[0], h("span.pl-muted", "against"), this.selects[1]);
    this.suggest.hidden = false;
    return null;
  }

  // Both or neither: chance cannot draw one alone.
  pairUp(changed) {
    const other = this.selects.find((select) => select !== changed);
    if (changed.value === "") other.value = "";
    else if (other.value === "" || other.value === changed.value) {
      const free = [...other.options].find((option) => option.value && option.value !== changed.value);
      other.value = free ? free.value : "";
    }
  }

  ask() {
    const prompt = this.text.value.trim();
    this.complain("");
    if (this.waiting) return void toast("The last prompt is still being answered.");
    if (!prompt) {
      this.complain("Type a prompt first.");
      return this.focus();
    }
    const chosen = this.selects ? this.selects.map((select) => select.value).filter(Boolean) : [];
    this.sampling.clear();
    this.element.querySelector("details").open = false;
    return this.onask({ prompt, checkpoints: chosen.length === 2 ? chosen : null, sampling: this.sampling.value() });
  }

  busy(waiting) {
    this.waiting = waiting;
    this.send.setAttribute("aria-disabled", String(waiting));
    this.send.title = waiting ? "The last prompt is still being answered." : "";
    this.send.classList.toggle("busy", waiting);
  }

  // Show the API's complaint beside what is wrong; false when it belongs to no field here.
  fail(error) {
    const field = error.field || "";
    if (field.startsWith("sampling.")) {
      this.element.querySelector("details").open = true;
      return this.sampling.fail(field.slice("sampling.".length), error.detail);
    }
    if (!["prompt", "checkpoints"].includes(field.split(".")[0])) return false;
    this.complain([error.detail, error.remedy].filter(Boolean).join(" "));
    return true;
  }

  complain(words) {
    this.error.textContent = words;
    this.text.setAttribute("aria-invalid", String(Boolean(words)));
  }

  take(text) {
    this.text.value = text;
    this.grow();
    this.focus();
  }

  focus() {
    this.text.focus();
    this.text.select();
  }

  blur() {
    this.text.blur(); // so that the next key votes; done when asking, for whoever writes on meanwhile must not vote by it
  }

  grow() {
    this.text.style.height = "auto";
    this.text.style.height = `${Math.min(this.text.scrollHeight + 2, innerHeight * 0.3)}px`;
  }

  remember(prompts) {
    this.past = [...new Set([...prompts, ...this.past])].slice(0, REMEMBERED);
    this.history.hidden = !this.past.length;
    const short = (text) => (text.length > 60 ? `${text.slice(0, 60)}…` : text);
    fill(this.history, h("option", { value: "" }, "Earlier prompts"), this.past.map((text, index) => h("option", { value: index }, short(text))));
  }

  // A prompt from the datasets, a different one each time.
  async suggestion() {
    try {
      this.pool ||= await prompts();
      if (!this.pool.length) return void toast("There are no datasets to take prompts from.");
      this.take(this.pool.splice(Math.floor(Math.random() * this.pool.length), 1)[0]);
      if (!this.pool.length) this.pool = null;
    } catch (error) {
      toastError(error);
    }
    return null;
  }
}

async function prompts() {
  const found = [];
  for await (const dataset of all("/datasets")) {
    const { items } = await get(`/datasets/${dataset.id}/items`, { limit: 40, split: "test" });
    found.push(...items.filter((item) => item.prompt.length === 1).map((item) => item.prompt[0].content));
    if (found.length > 100) break;
  }
  return [...new Set(found.filter((text) => typeof text === "string"))];
}
