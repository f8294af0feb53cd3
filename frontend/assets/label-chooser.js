// Which dataset to label, when the address names none.

import { get } from "./api.js";
import { add, empty, errorCard, fill, h, progress, skeleton } from "./dom.js";
import { count, plural } from "./format.js";
import { mayResearch } from "./frame.js";

export async function choose(page) {
  page.classList.add("pl-page", "narrow");
  add(page, skeleton(4));
  try {
    const { items } = await get("/progress");
    fill(page, items.length ? list(items) : nothing());
  } catch (error) {
    fill(page, errorCard(error, () => choose(fill(page))));
  }
}

function list(items) {
  const first = items.find(({ progress: { left, imported } }) => left > imported) || items.find((one) => one.progress.left > 0);
  return h("div.pl-stack", h("p.pl-muted", "Which pairs do you want to judge?"), items.map((one) => row(one, one === first)));
}

function row({ dataset_id: id, name, toy, progress: { total, labelled, left, imported } }, first) {
  const numbers = left ? `${plural(left, "pair")} left for you` : total ? "nothing left for you" : "no pairs yet";
  const brought = imported ? ` · ${count(imported)} came with labels` : "";
  return h(
    "div.pl-card.pl-judge-dataset",
    h("div.pl-grow", h("h2.pl-cut", { title: name }, name, toy && h("span.pl-badge", "toy")), progress(labelled, total, `Labelled pairs of ${name}`),
      h("p.pl-muted", `${count(labelled)} of ${count(total)} labelled by people${brought} · ${numbers}`)),
    h("a.pl-button", { href: `/label?dataset=${encodeURIComponent(id)}`, class: first ? "primary" : null }, left ? "Label" : "Look"),
  );
}

const nothing = () =>
  mayResearch
    ? empty("Nothing to label yet", "Import pairs, or compare two checkpoints: every vote can become a label.", h("a.pl-button.primary", { href: "/import" }, "Import pairs"))
    : empty("Nothing to label yet", "Ask a researcher to import pairs; they will be here then.");
