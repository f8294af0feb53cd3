// How far the annotators of a dataset agree, in all its tasks and in the file that it came from, and what each is like.

import { AnnotatorLabels } from "./annotator-labels.js";
import { People } from "./annotators.js";
import { Agreement } from "./annotators-agree.js";
import { get } from "./api.js";
import { empty, h, link } from "./dom.js";
import { actions, param, title } from "./frame.js";
import { load } from "./live.js";
import { ofDataset } from "./quality-scope.js";

export async function mount(element) {
  const page = h("div.pl-page.pl-stack");
  element.append(page);
  const id = param("dataset");
  if (!id) {
    page.append(empty("Which dataset?", "The address names none.", link("All datasets", "/data", "pl-button primary")));
    return;
  }
  await load(page, () => get(`/datasets/${encodeURIComponent(id)}`), (dataset) => draw(page, dataset));
}

function draw(page, dataset) {
  title(`Agreement on “${dataset.name}”`);
  actions(link("The dataset", `/dataset?id=${dataset.id}`, "pl-button"));
  const scope = ofDataset(dataset);
  const [who, name] = [param("who"), param("name")];
  if (who || name) return void page.append(new AnnotatorLabels(scope, who ? { annotator_id: who } : { name }).element);
  const parts = [new Agreement(() => scope), new People(() => scope)];
  page.append(h("p.pl-muted", "Of all that people judged here, in every task, and of the annotators whom an imported file names: of each the newest label of an item."), parts[0].element, h("h2", "Annotators"), parts[1].element);
  for (const part of parts) part.refresh();
}
