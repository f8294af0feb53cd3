// Home's question: what do you have? Models and data that fit this machine, each leading to a page that is filled in.

import { get } from "./api.js";
import { badge, button, errorCard, fill, h, link, skeleton } from "./dom.js";
import { bytes, count, plural } from "./format.js";
import { size } from "./run-state.js";

const AGAIN_MS = 1500;
const WAYS = { lora: "LoRA", full: "All weights" };
const NARROW = "(max-width: 760px)";

// The question stands while nothing was trained yet, with the offers open below what is under way, where there is room
// for them; afterwards the offers alone are there, closed.
export class Start {
  constructor() {
    this.place = h("div.pl-stack", skeleton(4));
    this.offers = h("details.pl-card", { ontoggle: () => this.load() }, h("summary", "Models and data to start with"), this.place);
    this.asked = false;
  }

  question(home) {
    return bare(home) ? h("section.pl-stack", h("h2", "What do you have?"), choices(home, () => this.show())) : null;
  }

  draw(home) {
    if (bare(home) && !this.asked && !matchMedia(NARROW).matches) this.offers.open = true;
    return this.offers;
  }

  show() {
    this.offers.open = true;
    this.offers.scrollIntoView({ block: "start" });
    this.offers.querySelector("summary").focus({ preventScroll: true });
  }

  // Once, and again while the machine is still being looked at.
  async load() {
    if (this.asked || !this.offers.open) return;
    this.asked = true;
    try {
      const told = await get("/presets");
      fill(this.place, here(told.machine), models(told), datasets(told));
      if (told.machine.looking) setTimeout(() => { this.asked = false; this.load(); }, AGAIN_MS);
    } catch (error) {
      fill(this.place, errorCard(error, () => { this.asked = false; this.load(); }));
    }
  }
}

const bare = (home) => !home.runs.newest && !home.evaluations.succeeded;
const card = (title, marks, body, ...ways) => h("div.pl-card.pl-choice", h("h3", title, marks), body, h("div.pl-row", ways));
const go = (address) => () => location.assign(address);

function choices(home, show) {
  const gpu = home.machine && home.machine.gpu;
  return h("div.pl-grid",
    card("Nothing yet", gpu ? null : badge("this machine", "good"), h("p", "Walk the whole loop in the toy world: a tiny model and sentences whose true preference is known. A run takes a minute or a few."),
      button("Train on the toy world", go("/new-run?toy=1"), { kind: "primary small" }), link("Label some pairs first", "/label")),
    card("Preference data of your own", null, h("p", "JSON lines, JSON, Parquet or CSV: chosen and rejected answers, or pairs still to be judged."),
      button("Import data", go("/import"), { kind: "small" })),
    card(gpu ? "A GPU" : "A model on disk or a hub", gpu ? badge("this machine", "good") : null, h("p", gpu ? "A GPU is there. Choose a model that fits it, or register one of your own." : "Without a GPU a small model trains in minutes to hours; LoRA reaches further."),
      button("See what fits", show, { kind: "small" }), link("Register a model of your own", "/checkpoints?register=")));
}

const HUB = {
  reachable: () => "The hub answers.",
  offline: () => [badge("Offline", "warn"), " This machine is told to ask no hub. Copy a model into an allowed folder and ", link("register that", "/checkpoints?register="), "."],
  unreachable: (address) => [`${address} does not answer from here. Copy a model into an allowed folder and `, link("register that", "/checkpoints?register="), ", or try later."],
};

// Why nothing can be fetched from the hub now; null where it can.
function barred({ hub, hub_address: address }) {
  if (hub === "offline") return "Offline: this machine is told to ask no hub.";
  return hub === "unreachable" ? `${address} does not answer from here.` : null;
}

function here({ gpus, memory_bytes: memory, hub, hub_address: address, looking }) {
  const cards = gpus.map((one) => `${one.name} with ${bytes(one.memory_bytes)}`).join(", ");
  const has = looking ? "Looking for GPUs and the hub …" : cards ? `This machine has ${cards}, and ${bytes(memory)} of memory. ` : `This machine has no GPU, and ${bytes(memory)} of memory. `;
  return h("p", { role: "status" }, has, hub ? HUB[hub](address) : null);
}

function models({ models: all, machine }) {
  const fitting = all.filter((one) => one.fits.some((fit) => fit.fits));
  const others = all.filter((one) => !fitting.includes(one));
  return h("section.pl-stack", h("h3", "Models that fit"),
    fitting.length ? h("div.pl-grid", fitting.map((one) => model(one, machine))) : h("p.pl-muted", "None of the known models fits this machine."),
    others.length ? h("details", h("summary", `${plural(others.length, "model")} too large for this machine`),
      h("ul.pl-lines", others.map((one) => h("li", h("span", one.name), h("span.pl-muted", one.fits[0].reason))))) : null);
}

function model(one, machine) {
  const facts = h("p", `${size(one.parameters)} parameters · ${one.license}`);
  const ways = h("ul.pl-fits", one.fits.map((fit) => h("li", badge(`${WAYS[fit.tuning]}: ${fit.fits ? "fits" : "too large"}`, fit.fits ? "good" : "idle"), h("small.pl-help", fit.reason))));
  const way = one.checkpoint_id
    ? button("Train it", go(`/new-run?checkpoint=${one.checkpoint_id}`), { kind: "primary small" })
    : button("Look and download", go(`/checkpoints?hub=${encodeURIComponent(one.hub_id)}`), { kind: "small", disabled: barred(machine) });
  way.setAttribute("aria-label", `${way.textContent}: ${one.name}`);
  return card(one.name, one.gated ? badge("gated", "warn") : null, h("div.pl-grow", facts, ways), way);
}

function datasets({ datasets: all, machine }) {
  return h("section.pl-stack", h("h3", "Preference data of a hub"), h("div.pl-grid", all.map((one) => {
    const query = new URLSearchParams({ from: "hub", hub: one.hub_id, config: one.config, split: one.split });
    const named = Object.entries(one.columns || {}).filter(([name, column]) => typeof column === "string" && column !== name && name !== "others").map(([name, column]) => `the ${name} is “${column}”`).join(", ");
    const way = button("Look and import", go(`/import?${query}`), { kind: "small", disabled: barred(machine) });
    way.setAttribute("aria-label", `Look and import: ${one.name}`);
    return card(one.name, one.kind === "paired" ? null : badge(one.kind), h("div.pl-grow",
      h("p", one.text), h("small.pl-help", `${count(one.rows)} rows · ${one.license}${named ? ` · Say which column is what: ${named}.` : ""}`)), way);
  })));
}
