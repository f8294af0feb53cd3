// What looks wrong with how somebody labels, in plain words: only what their numbers show beyond chance.

import { percent } from "./format.js";

const FEWEST = 20; // labels of which anything is said
const RARELY_BY_CHANCE = 0.01; // of a test of sides: one honest annotator in a hundred is marked
const TOO_FAST = 0.1; // share of labels
const GOLD = 0.7; // right about known answers
const LONGER = 0.7; // share of the longer response among choices: people reach 0.64 where length is no merit

// Every doubt as {words, what}: `words` say what is seen, `what` what to do about it.
export function doubts(one) {
  const found = [];
  const { gold, agreement, left_side: left, longer_side: longer, too_fast: fast } = one;
  if (surely(fast, (rate) => rate.low > TOO_FAST)) found.push({ words: `${percent(fast.value)} of the answers came faster than the responses can be read`, what: "Look at some of these labels; ask whether the guidelines are clear." });
  if (left && left.p_value !== null && left.p_value < RARELY_BY_CHANCE && left.rate.n >= FEWEST) {
    const side = left.rate.value > 0.5 ? "left" : "right";
    found.push({ words: `chooses the ${side} side ${percent(Math.max(left.rate.value, 1 - left.rate.value))} of the time`, what: "Sides are random for everybody: this is a habit, not a judgement." });
  }
  if (surely(gold, (rate) => rate.high < GOLD)) found.push({ words: `right about only ${percent(gold.value)} of the gold items`, what: "Go through the gold items together: either the guidelines or the gold may be wrong." });
  if (surely(agreement, (rate) => rate.high < 0.5)) found.push({ words: `says what most others say only ${percent(agreement.value)} of the time`, what: "See the disagreements under “Adjudicate”." });
  if (longer && longer.p_value !== null && longer.p_value < RARELY_BY_CHANCE && surely(longer.rate, (rate) => rate.low > LONGER)) found.push({ words: `prefers the longer response ${percent(longer.rate.value)} of the time`, what: "Say in the guidelines that length is no merit." });
  return found;
}

const surely = (rate, holds) => Boolean(rate) && rate.value !== null && rate.n >= FEWEST && holds(rate);
