// The labelling tasks of a dataset, on its page: how far each is, and the ways to label.

import { get } from "./api.js";
import { h, link } from "./dom.js";
import { load } from "./live.js";
import { labelable } from "./task-words.js";
import { taskCard } from "./tasks.js";

const SHOWN = 5;

export function datasetTasks(dataset) {
  const place = h("section.pl-stack.tight");
  if (!labelable(dataset)) return place;
  load(place, () => get("/tasks", { dataset_id: dataset.id, state: "open", limit: SHOWN }), ({ items, next_cursor: more }) => {
    place.append(h("div.pl-row.between", h("h2", "Labelling"), h("div.pl-row", link("Agreement", `/agreement?dataset=${dataset.id}`), link("All its tasks", `/tasks?dataset=${dataset.id}`), link("New task", `/new-task?dataset=${dataset.id}`, "pl-button small"))));
    if (items.length) place.append(...items.map(taskCard));
    else place.append(h("p.pl-muted", "No task yet. “Label this” makes one: what to ask, how many labels an item, by whom. Or ", link("just label", `/label?dataset=${dataset.id}`), ", one label an item, by everybody."));
    if (more) place.append(h("p.pl-muted", `The newest ${SHOWN} are shown.`));
  });
  return place;
}
