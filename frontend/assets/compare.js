// Compare: the arena, or with ?evaluation= the matches of an evaluation.

import { h } from "./dom.js";
import { param } from "./frame.js";
import { cardStyle } from "./vote-scale.js";

export async function mount(element) {
  await cardStyle("compare");
  const evaluation = param("evaluation");
  if (evaluation) {
    const { MatchJudge } = await import("./match-judge.js");
    const page = h("div.pl-judge");
    element.append(page);
    new MatchJudge(page, evaluation).start();
  } else {
    const { Arena } = await import("./arena.js");
    const page = h("div.pl-page.pl-arena");
    element.append(page);
    await new Arena(page).start();
  }
}
