// A battle's answers side by side: as they grow, whole, with each one's earlier answers folded above, and named.

import { badge, fill, h, prose } from "./dom.js";
import { mayResearch } from "./frame.js";
import { placeWords } from "./label-words.js";
import { message, turn } from "./message.js";
import { SidesView } from "./sides.js";

const NOTHING = { role: "assistant", html: "", text: "" };

export class BattleView extends SidesView {
  constructor() {
    super();
    this.element.classList.add("pl-arena-pair");
    this.grown = [];
  }

  get begun() {
    return this.grown.some((one) => one.textContent);
  }

  // Empty answers that text will grow in.
  begin(battle) {
    this.marking = false;
    this.lay(battle, battle.answers.map(() => NOTHING));
    this.write();
  }

  write() {
    this.grown = this.sides.map(({ body }) => {
      const text = prose("");
      fill(body, text);
      body.classList.add("writing");
      return text;
    });
  }

  // New text; with `held` it is gathered and not shown yet.
  grow({ texts, fresh }, held) {
    texts.forEach((text, place) => {
      const one = this.grown[place];
      if (fresh) one.textContent = "";
      one.append(text);
      one.hidden = held;
    });
  }

  // What had come of an answer that was not finished.
  keep(texts) {
    this.rest = texts;
  }

  still() {
    for (const { body } of this.sides) body.classList.remove("writing");
  }

  show(battle) {
    return this.lay(battle, battle.answers.map((one) => one || NOTHING));
  }

  // The texts of a battle that has ended without all answers; false where nothing had come.
  partial(battle) {
    const { rest = [] } = this;
    this.rest = [];
    const texts = battle.answers.map((one, place) => (one ? one.text : rest[place] || ""));
    if (!texts.some(Boolean)) return false;
    this.lay(battle, texts.map(() => NOTHING));
    this.write();
    this.grow({ texts, fresh: true }, false);
    this.still();
    return true;
  }

  lay(battle, responses) {
    const marked = super.show({ prompt: [...battle.before.flatMap((one) => one.message), ...battle.message], responses });
    this.places(null);
    for (const { element } of this.sides) for (const old of element.querySelectorAll(".pl-reveal, .pl-arena-before")) old.remove();
    if (battle.before.length) this.sides.forEach(({ element, body }, place) => element.insertBefore(earlier(battle.before, place), body));
    return marked;
  }

  // Places of a ranking, or tick and border.
  chosen(vote, side) {
    if (vote.ranking) this.places(placeWords(vote.ranking, this.sides.length));
    else this.choose(side);
  }

  name(names) {
    this.sides.forEach(({ element }, place) => {
      const one = names[place];
      const name = mayResearch ? h("a", { href: `/checkpoint?id=${one.id}` }, one.name) : h("span", one.name);
      element.querySelector(".pl-pair-name").after(h("span.pl-reveal", name, one.toy && badge("toy", "warn")));
    });
  }
}

// What this contestant said before, under what it was asked.
function earlier(turns, place) {
  const words = turns.length === 1 ? "Its answer before" : `Its ${turns.length} answers before`;
  return h("details.pl-arena-before", h("summary", words), turns.map(({ message: asked, answers }) => [
    asked.map(turn),
    h("div.pl-arena-said", answers[place] ? message(answers[place]) : h("p.pl-muted", "Deleted by a retention rule.")),
  ]));
}
