// Choosing what is said of an item, in its own order and with every choice in words: for known answers.

import { field, h } from "./dom.js";

const STRENGTHS = { 3: "the first is much better", 2: "the first is better", 1: "the first is slightly better", 0: "a tie", "-1": "the second is slightly better", "-2": "the second is better", "-3": "the second is much better" };
const PAIR = [3, 2, 1, 0, -1, -2, -3];

// const editor = valueEditor({ kind, responses, value }); editor.element, editor.value()
export function valueEditor({ kind, responses, value = null }) {
  if (kind === "thumb") return thumb(value);
  return kind === "ranking" ? ranking(responses, value) : pair(value);
}

function pair(value) {
  const chosen = value?.both_bad ? "bad" : String(value?.strength ?? 2);
  const select = h("select", PAIR.map((one) => h("option", { value: one, selected: String(one) === chosen }, STRENGTHS[one])), h("option", { value: "bad", selected: chosen === "bad" }, "both are bad"));
  return { element: field("The answer", select), value: () => (select.value === "bad" ? { both_bad: true } : { strength: Number(select.value) }) };
}

function thumb(value) {
  const select = h("select", h("option", { value: "true", selected: value?.thumb !== false }, "wanted"), h("option", { value: "false", selected: value?.thumb === false }, "not wanted"));
  return { element: field("The answer", select), value: () => ({ thumb: select.value === "true" }) };
}

// A place for each response; the same place is a tie.
function ranking(responses, value) {
  const placed = (at) => (value?.ranking ? value.ranking.findIndex((group) => group.includes(at)) : at);
  const selects = Array.from({ length: responses }, (_, at) =>
    h("select", Array.from({ length: responses }, (__, place) => h("option", { value: place, selected: place === placed(at) }, `place ${place + 1}`))));
  const read = () => {
    const groups = Array.from({ length: responses }, () => []);
    selects.forEach((select, at) => groups[Number(select.value)].push(at));
    return { ranking: groups.filter((group) => group.length) };
  };
  return { element: h("div.pl-form", selects.map((select, at) => field(`Response ${at + 1}`, select))), value: read };
}
