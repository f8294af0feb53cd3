// What an answer says, in words, and what it marks on the card.

import { plural } from "./format.js";
import { letter } from "./sides.js";

const DEGREES = ["", "slightly better", "better", "much better"];

// Of a value in shown order: {words, side}; `steps` is 3 where only a preference is asked for, `n` how many there were.
export function describe(value, steps = 7, n = 2) {
  if (value.both_bad) return { words: n > 2 ? "All bad" : "Both bad", side: "both" };
  if ("best" in value) return { words: `${letter(value.best)} is the best`, side: letter(value.best) };
  if ("skip" in value) return { words: value.skip ? `Skipped: ${value.skip}` : "Skipped", side: null };
  if ("thumb" in value) return value.thumb ? { words: "Good", side: "good" } : { words: "Not good", side: "bad" };
  if ("ranking" in value) return { words: order(value.ranking), side: null };
  if (value.strength === 0) return { words: "Tie", side: "tie" };
  const side = value.strength > 0 ? "A" : "B";
  return { words: `${side} ${steps === 3 ? "better" : DEGREES[Math.abs(value.strength)]}`, side };
}

// [[1], [0, 2]] -> "B before A = C"
export const order = (groups) => groups.map((group) => group.map(letter).join(" = ")).join(" before ");

const NTH = { one: "st", two: "nd", few: "rd", other: "th" };
const RULES = new Intl.PluralRules("en", { type: "ordinal" });
export const nth = (number) => `${number}${NTH[RULES.select(number)]}`;

// The words of each of `n` responses in a ranking: "1st", "2nd, tied"; null where it has no place.
export function placeWords(groups, n) {
  const words = new Array(n).fill(null);
  groups.forEach((group, index) => {
    for (const one of group) words[one] = `${nth(index + 1)}${group.length > 1 ? ", tied" : ""}`;
  });
  return words;
}

// How long the responses are: told only when they have been judged.
export function lengths(responses) {
  const words = responses.map((one) => (one.text.match(/\S+/g) || []).length);
  if (responses.length === 1) return plural(words[0], "word");
  return `${words.map((count, place) => `${letter(place)} ${count}`).join(" · ")} ${words.at(-1) === 1 ? "word" : "words"}`;
}
