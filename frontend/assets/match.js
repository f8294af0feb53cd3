// One match: the whole conversation, both answers side by side, who judged how, and each token under two checkpoints.

import { get } from "./api.js";
import { badge, button, empty, errorCard, fill, h, link, toast } from "./dom.js";
import { count } from "./format.js";
import { actions, param, setParam, title } from "./frame.js";
import { bind, hint } from "./keys.js";
import { load } from "./live.js";
import { filterNow, filterTail } from "./match-filter.js";
import { TokenView } from "./match-tokens.js";
import { facts, verdicts } from "./match-verdicts.js";
import { SidesView } from "./sides.js";
import { stylesheet } from "./stylesheet.js";

export async function mount(element) {
  const page = h("div.pl-page.pl-stack");
  element.append(page);
  await Promise.all(["label-card.css", "evaluate.css", "comparing.css"].map(stylesheet));
  const id = param("id");
  if (!id) return void page.append(empty("Which match?", "The address names none.", link("All evaluations", "/evaluate", "pl-button primary")));
  await load(page, () => read(id), ([match, evaluation]) => new MatchPage(page, match, evaluation).start());
}

const one = (id) => get(`/matches/${encodeURIComponent(id)}`, filterNow());

async function read(id) {
  const match = await one(id);
  return [match, await get(`/evaluations/${match.evaluation_id}`)];
}

class MatchPage {
  constructor(page, match, evaluation) {
    Object.assign(this, { page, match, evaluation });
    this.names = Object.fromEntries(evaluation.contestants.map((contestant) => [contestant.id, contestant.name]));
    this.head = h("div.pl-row.between");
    this.view = new SidesView();
    this.view.marking = param("diff") === "1";
    this.said = h("div");
    this.facts = h("div");
    this.tokens = h("section.pl-stack.tight");
    this.status = h("div.pl-hidden", { role: "status", "aria-live": "polite" });
    this.marks = button("Mark differences", () => this.mark(), { key: "D", kind: "small" });
  }

  start() {
    this.page.append(this.head, this.view.element, this.facts, h("h2", "Verdicts"), this.said, this.tokens, this.status);
    this.view.element.classList.add("pl-match");
    bind("previous-match", "ArrowLeft", "The match before, within the filter", () => this.go(this.match.previous), "Match");
    bind("next-match", "ArrowRight", "The next match, within the filter", () => this.go(this.match.next), "Match");
    bind("marks", "d", "Mark the words that differ", () => this.mark(), "Match");
    bind("prompt", "p", "Unfold the conversation", () => this.view.togglePrompt(), "Match");
    addEventListener("popstate", () => this.come(param("id")));
    this.draw();
  }

  draw() {
    const { match, evaluation, names } = this;
    const turned = match.b.checkpoint_id === param("contestant") && match.a.checkpoint_id !== param("contestant");
    const sides = turned ? [match.b, match.a] : [match.a, match.b];
    title(`Match ${count(match.position + 1)} of “${evaluation.name}”`);
    actions(this.step("Previous", "previous-match", match.previous), this.step("Next", "next-match", match.next),
      link("Grid", `/grid?id=${evaluation.id}&at=${match.position + 1}${filterTail()}`, "pl-button"), link("Results", `/evaluation?id=${evaluation.id}${filterTail()}`, "pl-button"));
    fill(this.head, h("div.pl-row", match.category ? badge(match.category) : null, this.filterWords()), this.marks);
    this.marks.setAttribute("aria-pressed", String(this.view.marking));
    const shown = sides.map((side) => side.message || { role: "assistant", html: null, text: "" });
    const marked = this.view.show({ prompt: match.prompt, responses: shown });
    sides.forEach((side, place) => this.fallback(side, this.view.sides[place].body));
    this.view.unfold(true);
    this.view.places(sides.map((side) => names[side.checkpoint_id]));
    const score = match.score === null || !turned ? match.score : 1 - match.score;
    this.view.choose(score === null ? null : score === 0.5 ? "tie" : score > 0.5 ? "A" : "B");
    if (!marked) toast("These answers are too long to mark word by word.");
    facts(this.facts, sides, sides.map((side) => names[side.checkpoint_id]));
    fill(this.said, verdicts(match, evaluation, turned));
    this.tokenView?.stop();
    this.tokenView = new TokenView(this.tokens, match, turned ? ["b", "a"] : ["a", "b"], names);
    this.tokenView.start();
  }

  fallback(side, body) {
    if (!side.message) body.append(h("p.pl-muted", side.error || "No answer yet."));
    else if (!side.message.text) body.append(h("p.pl-muted", "(an empty answer)"));
  }

  filterWords() {
    return h("span.pl-muted", Object.keys(filterNow()).length ? "Previous and next stay within the filter." : "Previous and next go through all matches.");
  }

  step(words, action, id) {
    const made = button(words, () => this.go(id), { disabled: id ? null : `There is no ${words.toLowerCase()} match.` });
    made.append(hint(action));
    return made;
  }

  async go(id) {
    if (!id || this.going) return;
    const address = new URL(location.href);
    address.searchParams.set("id", id);
    history.pushState(null, "", address);
    await this.come(id);
  }

  async come(id) {
    this.going = true;
    try {
      this.match = await one(id);
      this.draw();
      this.status.textContent = `Match ${this.match.position + 1}`;
      scrollTo({ top: 0 });
    } catch (error) {
      fill(this.said, errorCard(error, () => this.come(id)));
    } finally {
      this.going = false;
    }
  }

  mark() {
    if (!this.view.mark(!this.view.marking)) toast("These answers are too long to mark word by word.");
    this.view.unfold(true);
    setParam("diff", this.view.marking ? "1" : null);
    this.marks.setAttribute("aria-pressed", String(this.view.marking));
  }
}
