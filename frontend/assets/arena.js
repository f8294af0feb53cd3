// The arena: a prompt, two checkpoints answering it blind and side by side, a vote, and then their names.

import { get, newKey, post } from "./api.js";
import { badge, button, empty, errorCard, fill, h, prose, skeleton, toast, toastError } from "./dom.js";
import { Composer } from "./arena-composer.js";
import { Tally } from "./arena-tally.js";
import { actions, mayResearch } from "./frame.js";
import { bind } from "./keys.js";
import { live } from "./live.js";
import { describe } from "./label-words.js";
import { SidesView } from "./sides.js";
import { exportVotes } from "./votes-export.js";
import { voteScale } from "./vote-scale.js";

const ENDED = ["succeeded", "failed", "cancelled", "lost"];
const LONG_WAIT = 6; // seconds after which a waiting person is told what may be wrong
const AGAIN = [1, 2, 4, 8];

export class Arena {
  constructor(page) {
    this.page = page;
    this.composer = new Composer((wish) => this.ask(wish));
    this.view = new SidesView();
    this.view.element.classList.add("pl-arena-pair");
    this.stage = h("section.pl-arena-stage", { "aria-label": "Answers" });
    this.status = h("div.pl-arena-status", { role: "status", "aria-live": "polite" });
    this.scale = voteScale((value) => this.vote(value), [
      { action: "marks", key: "d", text: "Mark the words that differ", name: "Differences", run: () => this.marks() },
    ], { scrolls: true });
    this.tally = new Tally();
    this.match = null;
    this.polling = null;
  }

  async start() {
    this.page.append(skeleton(5));
    const checkpoints = mayResearch ? (await get("/checkpoints", { limit: 100 })).items.filter((one) => one.kind === "language_model") : null;
    if (checkpoints && checkpoints.length < 2) return this.tooFew(checkpoints.length);
    if (mayResearch) actions(button("Add votes to a dataset", () => this.export(), { kind: "" }));
    this.composer.offer(checkpoints);
    bind("arena-next", "n", "Write the next prompt", () => this.composer.focus(), "Arena");
    fill(this.page, this.composer.element, this.stage, this.status, this.scale.element, this.tally.element);
    this.tally.refresh();
    const { items } = await get("/arena/matches", { limit: 12 });
    this.composer.remember(items.map((one) => one.prompt[one.prompt.length - 1].text));
    const [newest] = items;
    // A match from before a reload goes on where it was.
    if (newest && !newest.judged && newest.state !== "failed" && newest.state !== "cancelled") this.follow(newest);
    else this.invite();
    return null;
  }

  tooFew(number) {
    const text = number
      ? "There is one checkpoint, and it has nobody to meet. Train a run on it, or register another one."
      : "A comparison needs two checkpoints, and there is none yet.";
    fill(this.page, empty("Two checkpoints make a comparison", text,
      h("a.pl-button.primary", { href: number ? "/new-run" : "/checkpoints" }, number ? "Launch a run" : "Register a checkpoint"),
      h("a.pl-button", { href: "/checkpoints" }, "Checkpoints")));
  }

  invite() {
    this.composer.focus();
    fill(this.stage, empty("Ask anything", "Two checkpoints answer side by side. You vote without knowing which is which; then their names are shown."));
  }

  async ask({ prompt, checkpoints, sampling }) {
    this.halt();
    this.scale.show(false);
    this.composer.busy(true);
    try {
      const match = await post("/arena/matches", { prompt, checkpoints, sampling }, { key: newKey() });
      this.composer.remember([prompt]);
      this.composer.blur();
      this.follow(match);
    } catch (error) {
      this.composer.busy(false);
      if (!this.composer.fail(error)) fill(this.stage, errorCard(error));
    }
  }

  // Show the match as it stands and its text as it grows.
  follow(match) {
    this.match = match;
    this.scale.show(false);
    for (const side of this.view.sides) side.element.querySelector(".pl-reveal")?.remove();
    if (ENDED.includes(match.state)) return this.ended(match);
    this.composer.busy(true);
    const nothing = { role: "assistant", html: "", text: "" };
    fill(this.stage, this.view.element);
    this.view.marking = false;
    this.view.show({ prompt: match.prompt, responses: [nothing, nothing] });
    const grown = this.view.sides.map(({ body }) => {
      const text = prose("");
      fill(body, text);
      body.classList.add("writing");
      return text;
    });
    this.waitingSince = performance.now();
    this.say(match.state, true);
    let cursor = null;
    this.polling = live(
      async (signal) => {
        const found = await get(`/arena/matches/${match.id}/tokens`, { after: cursor }, { signal });
        if (found.done) {
          this.ended(await get(`/arena/matches/${match.id}`));
          return "done";
        }
        cursor = found.cursor;
        grown[0].append(found.left);
        grown[1].append(found.right);
        this.say(found.state, !grown[0].textContent && !grown[1].textContent);
        return Boolean(found.left || found.right);
      },
      { seconds: 0.15, slowest: 1, onerror: (error) => error.status !== 503 && toastError(error) },
    );
    return null;
  }

  say(state, silent) {
    const seconds = (performance.now() - this.waitingSince) / 1000;
    const words =
      state === "stopping" ? "Stopping…"
      : !silent ? "Answering…"
      : state === "queued" && seconds > LONG_WAIT ? "Still waiting for a worker. If this lasts, check that the light worker runs."
      : state === "queued" ? "Waiting for a worker…" : "Loading the checkpoints…";
    if (this.said === words) return;
    this.said = words;
    fill(this.status, words, button("Stop", () => this.cancel(), { kind: "small" }));
  }

  ended(match) {
    this.halt();
    this.match = match;
    this.composer.busy(false);
    if (match.state !== "succeeded") return this.unanswered(match);
    if (this.view.element.parentNode !== this.stage) fill(this.stage, this.view.element);
    this.view.show({ prompt: match.prompt, responses: [match.left, match.right] });
    this.since = performance.now();
    if (match.judged) this.reveal(match.judged);
    else {
      this.status.textContent = "Which answer is better?";
      this.scale.show(true);
    }
    return null;
  }

  unanswered(match) {
    this.status.textContent = "";
    const cancelled = match.state === "cancelled";
    const title = cancelled ? "Stopped" : "No answers";
    fill(this.stage, h("div", { class: cancelled ? "pl-card" : "pl-error", role: "alert" }, h("strong", title),
      h("p", match.reason || "The match has ended."), match.remedy && h("p.pl-muted", match.remedy),
      h("div.pl-row", button("Ask again", () => this.composer.take(match.prompt[match.prompt.length - 1].text)))));
    this.composer.focus();
  }

  halt() {
    if (this.polling) this.polling.stop();
    this.polling = null;
    this.said = null;
    for (const { body } of this.view.sides) body.classList.remove("writing");
  }

  async cancel() {
    try {
      const match = await post(`/arena/matches/${this.match.id}/cancel`, {});
      if (ENDED.includes(match.state)) this.ended(match);
    } catch (error) {
      if (error.status !== 409) toastError(error);
    }
  }

  async vote(value) {
    const match = this.match;
    this.scale.show(false);
    this.view.choose(describe(value).side);
    this.status.textContent = "Saving your vote…";
    const body = { client_id: uuid(), value, seconds: Math.min(3600, (performance.now() - this.since) / 1000) };
    for (let attempt = 0; ; attempt += 1) {
      try {
        const judged = await post(`/matches/${match.id}/verdicts`, body);
        if (this.match === match) this.reveal(judged);
        this.tally.refresh();
        return;
      } catch (error) {
        // The same client_id makes a repeated vote harmless.
        if (error.status === 0 && attempt < AGAIN.length) {
          await new Promise((resolve) => setTimeout(resolve, AGAIN[attempt] * 1000));
          continue;
        }
        toastError(error);
        this.scale.show(this.match === match);
        this.view.choose(null);
        this.status.textContent = "Your vote is not saved. Vote again.";
        return;
      }
    }
  }

  reveal({ verdict, reveal }) {
    const { words, side } = describe(verdict.value);
    this.view.choose(side);
    [reveal.left, reveal.right].forEach((checkpoint, index) => {
      const head = this.view.sides[index].element.querySelector(".pl-pair-head");
      head.querySelector(".pl-reveal")?.remove();
      const name = mayResearch ? h("a", { href: `/checkpoint?id=${checkpoint.id}` }, checkpoint.name) : h("span", checkpoint.name);
      head.querySelector(".pl-pair-name").after(h("span.pl-reveal", name, checkpoint.toy && badge("toy", "warn")));
    });
    fill(this.status, h("span", h("strong", `✓ ${words}. `), `A is ${reveal.left.name}, B is ${reveal.right.name}.`),
      button("Next prompt", () => this.composer.focus(), { kind: "primary small", key: "N" }));
  }

  marks() {
    if (!this.view.mark(!this.view.marking)) toast("These answers are too long to mark word by word.");
  }

  export() {
    return exportVotes({ arena: true }, "Arena votes");
  }
}

function uuid() {
  const key = newKey();
  return key.includes("-") ? key : key.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}
