// How a vote is given in the arena, by the keys of the labelling page: two answers on the scale, more by their places.

import { fill, h } from "./dom.js";
import { bind } from "./keys.js";
import { PLACE_KEYS, Ranking } from "./label-rank.js";
import { other } from "./label-scale.js";
import { placeWords } from "./label-words.js";
import { letter } from "./sides.js";
import { voteScale } from "./vote-scale.js";

const MOST = 4;

// run: {vote(value), skip(), marks(), placed(words), say(text)}. show(n) is for n answers, show(0) for none.
export class Choice {
  constructor(run) {
    this.run = run;
    const skip = { action: "skip", key: "s", text: "Skip this battle", name: "Skip…", run: () => run.skip() };
    this.scale = voteScale((value) => run.vote(value), [
      skip,
      { action: "marks", key: "d", text: "Mark the words that differ", name: "Differences", run: () => run.marks() },
    ], { scrolls: true });
    this.ranking = new Ranking((groups) => run.placed(placeWords(groups, this.n)), () => this.send());
    this.keys = [
      ...PLACE_KEYS.slice(0, MOST).map((key, one) => [`place-${one + 1}`, key, `Answer ${letter(one)} comes next`, () => this.ranking.place(one)]),
      ["rank-tie", "t", "The next one is tied with the last", () => this.ranking.tie()],
      ["accept", "Enter", "Send the ranking, or the best alone", () => this.send()],
      ["back", "Backspace", "Take back the last step", () => this.ranking.back()],
      ["both-bad", "b", "All bad", () => run.vote({ both_bad: true })],
      ["skip", "s", skip.text, skip.run],
    ];
    this.bound = [];
    this.n = 0;
    this.many = h("div.pl-judge-controls", { hidden: true });
    this.element = h("div.pl-arena-choice", this.scale.element, this.many);
    addEventListener("pl-keys", () => this.many.hidden || this.draw());
  }

  show(n) {
    this.n = n;
    this.scale.show(n === 2);
    this.bound.forEach((remove) => remove());
    this.many.hidden = n < 3;
    this.bound = n < 3 ? [] : this.keys.map(([action, key, text, run]) => bind(`label-${action}`, key, text, run, "Vote"));
    if (n < 3) return;
    this.ranking.show(n);
    this.draw();
  }

  draw() {
    this.ranking.draw();
    const send = other("Send", "accept", () => this.send());
    send.classList.add("primary");
    fill(this.many,
      h("div.pl-rank-row", this.ranking.element, other("Tie", "rank-tie", () => this.ranking.tie()), send),
      h("div.pl-row.center.pl-judge-others", other("All bad", "both-bad", () => this.run.vote({ both_bad: true })), other("Skip…", "skip", () => this.run.skip())));
  }

  // A whole ranking; or the only one that has a place, as the best.
  send() {
    const { groups, whole } = this.ranking;
    if (whole.flat().length === this.n) return this.run.vote({ ranking: whole.map((group) => [...group].sort((one, two) => one - two)) });
    if (groups.length === 1 && groups[0].length === 1) return this.run.vote({ best: groups[0][0] });
    return this.run.say("Give every answer a place, or only the best one.");
  }
}
