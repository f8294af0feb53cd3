// Where a prompt for the arena is written: who answers, how, and the prompts of before.

import { get } from "./api.js";
import { Pool } from "./arena-pool.js";
import { button, fill, h, toast, toastError } from "./dom.js";
import { samplingForm } from "./sampling.js";

const REMEMBERED = 10;
export const LONGEST = 50_000;
const HOLD = "pl-arena-hold";

// A text that Enter sends and Shift+Enter breaks, as high as what it holds.
export function speaks(text, send) {
  const grow = () => {
    text.style.height = "auto";
    text.style.height = `${Math.min(text.scrollHeight + 2, innerHeight * 0.3)}px`;
  };
  text.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    send();
  });
  text.addEventListener("input", grow);
  return grow;
}

export class Composer {
  constructor(onask) {
    this.onask = onask;
    this.past = [];
    this.text = h("textarea.pl-input.pl-composer-text", { rows: 2, maxlength: LONGEST, placeholder: "Type a prompt…", "aria-label": "Prompt" });
    this.error = h("small.pl-field-error", { role: "alert" });
    this.send = button("", () => this.ask(), { kind: "primary" });
    this.pool = new Pool(() => fill(this.send, `Ask ${this.pool.words}`, h("kbd", "Enter")));
    this.who = this.pool.place(h("span.pl-row.pl-composer-who"));
    this.history = h("select.pl-input.pl-composer-past", { "aria-label": "Earlier prompts" });
    this.dataset = h("select.pl-input", { "aria-label": "Prompts of", hidden: true });
    this.suggest = button("Suggest one", () => this.suggestion(), { kind: "quiet small", title: "A prompt of a prompt set or a test split that you have not asked" });
    this.sampling = samplingForm();
    this.hold = h("input", { type: "checkbox", checked: held() });
    this.hold.addEventListener("change", () => hold(this.hold.checked));
    this.grow = speaks(this.text, () => this.ask());
    this.element = this.draw();
  }

  draw() {
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
      h("div.pl-row.between", h("div.pl-row", this.who, this.history, this.dataset, this.suggest), this.send),
      this.pool.details,
      h("details.pl-composer-more.pl-arena-how", h("summary", "Sampling"), this.sampling.element,
        h("label.pl-check", this.hold, h("span", "Show the answers only when all are done, so that their pace tells nothing"))),
    );
  }

  // The checkpoints and datasets to choose from; null when the person may not list them.
  offer(checkpoints, datasets) {
    this.pool.offer(checkpoints);
    if (!datasets) return;
    fill(this.dataset, h("option", { value: "" }, "Any dataset"), datasets.map((one) => h("option", { value: one.id }, one.name)));
    this.dataset.hidden = this.suggest.hidden = !datasets.length;
  }

  ask() {
    const prompt = this.text.value.trim();
    this.complain("");
    if (this.waiting) return void toast("The last prompt is still being answered.");
    if (!prompt) {
      this.complain("Type a prompt first.");
      return this.focus();
    }
    const who = this.pool.value();
    if (who.wrong) {
      this.pool.details.open = true;
      return this.complain(who.wrong);
    }
    this.sampling.clear();
    for (const details of this.element.querySelectorAll("details")) details.open = false;
    return this.onask({ prompt, ...who, sampling: this.sampling.value() });
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
      this.element.querySelector(".pl-arena-how").open = true;
      return this.sampling.fail(field.slice("sampling.".length), error.detail);
    }
    if (!["prompt", "checkpoints", "contestants"].includes(field.split(".")[0])) return false;
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

  remember(prompts) {
    this.past = [...new Set([...prompts, ...this.past])].slice(0, REMEMBERED);
    this.history.hidden = !this.past.length;
    const short = (text) => (text.length > 60 ? `${text.slice(0, 60)}…` : text);
    fill(this.history, h("option", { value: "" }, "Earlier prompts"), this.past.map((text, index) => h("option", { value: index }, short(text))));
  }

  // A prompt that the person has not asked here.
  async suggestion() {
    try {
      const { text } = await get("/arena/prompt", { dataset_id: this.dataset.value || null });
      this.complain("");
      this.take(text);
    } catch (error) {
      if (error.status === 422) this.complain([error.detail, error.remedy].filter(Boolean).join(" "));
      else toastError(error);
    }
  }
}

function held() {
  try {
    return localStorage.getItem(HOLD) === "1";
  } catch {
    return false; // storage is off
  }
}

function hold(whether) {
  try {
    localStorage.setItem(HOLD, whether ? "1" : "0");
  } catch {
    // Storage is off: it holds until the page is left.
  }
}
