// What a task will cost, as one sentence and a picture: items times labels an item, at the pace that was measured.

import { fill, h } from "./dom.js";
import { count, number, plural } from "./format.js";
import { workTime } from "./task-words.js";

const GUESS = 20; // seconds a label, where nobody has labelled yet
const SHORT_DAY = 2 * 3600; // of labelling by one person: what stays careful

// const cost = taskCost(pace); place.append(cost.element); cost.show({ overlap, people, deadline })
// pace: {items, median_seconds, labels, of}: the items that can be labelled, and the pace of this dataset or project.
export function taskCost(pace) {
  const sentence = h("p.pl-cost-sentence", { "aria-live": "polite" });
  const picture = h("div.pl-cost-picture", { "aria-hidden": "true" });
  const more = h("p.pl-muted");
  const basis = h("p.pl-muted.pl-note", known(pace));
  const show = ({ overlap, people, deadline }) => {
    const labels = pace.items * overlap;
    const seconds = labels * (pace.median_seconds || GUESS);
    fill(sentence, `${plural(pace.items, "item")} × ${count(overlap)} = `, h("strong", plural(labels, "label")), "; at ", `${number(pace.median_seconds || GUESS, 3)} s each that is about `, h("strong", workTime(seconds)), " of work.");
    fill(picture, Array.from({ length: Math.min(overlap, 20) }, () => h("i")));
    fill(more, shared(seconds, { overlap, people, deadline }));
  };
  return { element: h("section.pl-card.pl-stack.tight.pl-cost", { "aria-label": "What it will cost" }, h("h2", "What it will cost"), sentence, picture, more, basis), show };
}

function known(pace) {
  if (!pace.median_seconds) return `Nobody has labelled here yet: ${GUESS} s a label is a guess, the measured median takes its place.`;
  const where = pace.of === "dataset" ? "in this dataset" : "in this project";
  return `The median of the last ${plural(pace.labels, "label")} by people ${where}. Pauses of more than ten minutes count as ten.`;
}

// Who has to do how much of it, day by day. Nobody labels an item twice, so that fewer people than labels an item end it never.
function shared(seconds, { overlap, people, deadline }) {
  if (!people) return "Nobody may label yet: choose people, or invite some under Team.";
  if (people < overlap) return `${count(overlap)} labels an item need ${count(overlap)} people, as nobody labels an item twice, and ${people === 1 ? "one person" : `${count(people)} people`} may label: choose or invite more, or want fewer labels an item.`;
  const each = seconds / people;
  const days = Math.ceil(each / SHORT_DAY);
  const parts = [people > 1 ? `Shared by ${plural(people, "person", "people")}: ${workTime(each)} each.` : "One person does it all.", `At two hours a day: ${plural(days, "day")}.`];
  if (deadline) {
    const left = (new Date(deadline).getTime() - Date.now()) / 86_400_000;
    if (left > 0) parts.push(`Until the deadline: ${workTime(each / Math.max(1, left))} a day${people > 1 ? " each" : ""}.`);
  }
  return parts.join(" ");
}
