// The catalogue: the recommended objectives first, the rest by family, found by name, title or paper; one opened as its card.

import { get } from "./api.js";
import { badge, button, dialog, empty, fill, h, link } from "./dom.js";
import { plotly } from "./charts.js";
import { actions, param, setParam } from "./frame.js";
import { bind } from "./keys.js";
import { load } from "./live.js";
import { drawnFormula, fidelity, hyperparameters, needs, paper, theory } from "./objective-card.js";
import { byFamily, found } from "./objective-search.js";

export async function mount(element) {
  const page = h("div.pl-page.pl-stack");
  element.append(page);
  await load(page, () => get("/objectives"), (objectives) => {
    const known = new Map(objectives.map((one) => [one.name, one]));
    const list = h("div.pl-stack");
    const show = (words) => {
      setParam("q", words);
      draw(list, found(objectives, words), words, known);
    };
    const search = h("input.pl-input.pl-search", {
      type: "search", placeholder: `Search ${objectives.length} by name, paper or need`, "aria-label": "Search objectives", value: param("q") || "", oninput: () => show(search.value),
      onkeydown: (event) => {
        const [first] = found(objectives, search.value);
        if (event.key !== "Enter" || !first) return;
        event.preventDefault(); // or the same key press would close the dialog, whose button has the focus
        open(first, known);
      },
    });
    actions(search);
    bind("search-objectives", "/", "Search objectives", () => search.focus());
    page.append(list);
    show(search.value);
    if (known.has(param("name"))) open(known.get(param("name")), known);
  });
}

function draw(list, objectives, words, known) {
  if (!objectives.length) return fill(list, empty("No objective fits", "Try fewer words."));
  if (words.trim()) return fill(list, h("p.pl-muted", { role: "status" }, `${objectives.length} found`), lines(objectives, known));
  const recommended = objectives.filter((one) => one.recommended);
  const families = [...byFamily(objectives)];
  return fill(list,
    h("section", h("h2", "To begin with"), h("div.pl-grid.pl-objectives", recommended.map((one) => card(one, known)))),
    families.length > 2 ? h("nav.pl-row.pl-families", { "aria-label": "Families" }, families.map(([family, members]) => h("a.pl-badge", { href: `#${slug(family)}` }, `${family} · ${members.length}`))) : null,
    families.map(([family, members]) => h("section", { id: slug(family) }, h("h2", family, " ", h("span.pl-muted", members.length)), lines(members, known))));
}

const slug = (text) => `family-${text.toLowerCase().replace(/[^a-z0-9]+/g, "-")}`;
const lines = (objectives, known) => h("div.pl-objective-lines", objectives.map((one) => line(one, known)));

const doors = (objective, known) => {
  const made = [["Details", () => open(objective, known), "small"], ["Use", () => location.assign(useAddress(objective)), "small primary"]].map(([words, go, kind]) => {
    const door = button(words, go, { kind });
    door.setAttribute("aria-label", `${words}: ${objective.title}`); // dozens of the same word say nothing without their card
    return door;
  });
  return h("div.pl-row", made);
};

const card = (objective, known) =>
  h("article.pl-card.pl-stack.tight", { "aria-label": objective.title },
    h("div.pl-row.between", h("h3.pl-objective-title", objective.title), fidelity(objective)),
    h("p", objective.summary), drawnFormula(objective), needs(objective),
    h("div.pl-row.between", paper(objective.paper), doors(objective, known)));

const line = (objective, known) =>
  h("article.pl-objective-line", { "aria-label": objective.title },
    h("div", h("h3.pl-objective-title", objective.title, " ", h("code.pl-mono.pl-muted", objective.name)), paper(objective.paper)),
    h("div.pl-stack.tight", h("p", objective.summary), h("div.pl-row", needs(objective), objective.fidelity === "reconstruction" ? fidelity(objective) : null)),
    doors(objective, known));

const useAddress = (objective) => `/new-run?objective=${encodeURIComponent(objective.name)}`;

function open(objective, known) {
  setParam("name", objective.name);
  plotly().catch(() => {}); // begins to load beside the curve; a failure is shown by the chart itself
  const shown = dialog(objective.title, (close) => {
    let card = null;
    const form = hyperparameters(objective, { known, onchange: () => card?.draw() });
    card = theory(objective, { known, form, onshow: (name) => close(name) });
    card.draw();
    return [h("div.pl-row.between.pl-theory-head", h("div.pl-row", badge(objective.family), needs(objective)), link("Use in a new run", useAddress(objective), "pl-button primary")),
      drawnFormula(objective), h("section.pl-stack.tight", h("h3", "Hyperparameters"), form.element), card.element];
  });
  shown.then((next) => {
    setParam("name", null);
    if (known.has(next)) open(known.get(next), known);
  });
}
