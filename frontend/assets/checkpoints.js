// Checkpoints: what one can start from, compare and evaluate; downloads under way come first.

import { get, newKey, post } from "./api.js";
import { badge, button, empty, errorCard, fill, h, link, progress, skeleton, stateBadge, table, toastError } from "./dom.js";
import { registerDialog } from "./checkpoint-register.js";
import { ago, bytes, count } from "./format.js";
import { actions, noHub, param } from "./frame.js";
import { bind } from "./keys.js";
import { live } from "./live.js";
import { checkpointPage, goneBadge, MOVING, runPage, size, toyBadge } from "./run-state.js";
import { stylesheet } from "./stylesheet.js";

const SHOWN_FAILURES_HOURS = 24;
const SOURCES = { folder: "folder", hub: "hub", run: "run", toy: "toy world", endpoint: "endpoint" };

export async function mount(element) {
  await stylesheet("runs.css");
  const under = h("section.pl-stack.tight", { "aria-label": "Downloads", hidden: true });
  const list = h("section.pl-stack", skeleton(5));
  element.append(h("div.pl-page.pl-stack", under, list));
  const page = new Checkpoints(list);
  const downloads = watch(under, () => page.show());
  const register = async () => {
    const done = await registerDialog();
    if (done === "downloading") downloads.now();
    if (done) page.show();
  };
  actions(button("Register a checkpoint", register, { kind: "primary", key: "G" }));
  bind("register", "g", "Register a checkpoint", register);
  page.register = register;
  await page.show();
  if (param("register") !== null || param("hub")) register();
}

class Checkpoints {
  constructor(place) {
    this.place = place;
  }

  async show() {
    try {
      const page = await get("/checkpoints", { limit: 50 });
      this.rows = page.items;
      this.draw(page.next_cursor);
    } catch (error) {
      fill(this.place, errorCard(error, () => this.show()));
    }
  }

  draw(cursor) {
    if (!this.rows.length) {
      fill(this.place, empty("No checkpoint yet", "Register a folder of weights or download a model from a hub. Runs add theirs by themselves.", button("Register a checkpoint", this.register, { kind: "primary" })));
      return;
    }
    const more = cursor && h("div.pl-row.center", button("Show more", () => this.more(cursor)));
    fill(this.place, table("Checkpoints", COLUMNS, this.rows, { onrow: (one) => location.assign(checkpointPage(one.id)) }), more);
  }

  async more(cursor) {
    try {
      const page = await get("/checkpoints", { limit: 50, cursor });
      this.rows.push(...page.items);
      this.draw(page.next_cursor);
    } catch (error) {
      toastError(error);
    }
  }
}

const COLUMNS = [
  { title: "Name", cell: (one) => [link(one.name, checkpointPage(one.id)), one.toy ? [" ", toyBadge()] : null, one.kind === "reward_model" ? [" ", badge("reward model")] : null, one.adapter ? [" ", badge("adapter")] : null, one.available ? null : [" ", goneBadge(one)], one.chat_template === "missing" ? [" ", badge("needs a chat template", "warn")] : null] },
  { title: "From", cell: (one) => (one.run_id ? link("run", runPage(one.run_id)) : SOURCES[one.source]) },
  { title: "Architecture", cell: (one) => (one.endpoint ? one.endpoint.model : one.architecture) },
  { title: "Parameters", kind: "number", cell: (one) => (one.endpoint ? "–" : h("span", { title: count(one.parameters) }, size(one.parameters))) },
  { title: "Context", kind: "number", hint: "Tokens it sees at once", cell: (one) => count(one.max_tokens) },
  { title: "Added", cell: (one) => ago(one.created_at) },
];

// Downloads under way, and lately failed ones with the reason.
function watch(place, onend) {
  let running = new Set();
  const polling = live(async () => {
    const { items } = await get("/fetches", { limit: 20 });
    const recent = (one) => Date.now() - new Date(one.created_at) < SHOWN_FAILURES_HOURS * 3600e3;
    const moving = items.filter((one) => MOVING.includes(one.state));
    const shown = items.filter((one) => MOVING.includes(one.state) || (one.state === "failed" && recent(one) && !dismissed.has(one.id)));
    fill(place, shown.map((one) => download(one, () => polling.now())));
    place.hidden = !shown.length;
    const now = new Set(moving.map((one) => one.id));
    if ([...running].some((id) => !now.has(id))) onend();
    running = now;
    return moving.length > 0;
  }, { seconds: 1, slowest: 20 });
  return polling;
}

const dismissed = new Set();

function download(one, again) {
  const failed = one.state === "failed";
  const cancel = async () => {
    try {
      await post(`/fetches/${one.id}/cancel`, undefined, { key: newKey() });
    } catch (error) {
      toastError(error);
    }
    again();
  };
  const resume = async () => {
    try {
      await post(`/fetches/${one.id}/resume`, {}, { key: newKey() });
    } catch (error) {
      toastError(error);
    }
    again();
  };
  const hide = () => { dismissed.add(one.id); again(); };
  return h(`div.pl-card.pl-stack.tight${failed ? ".bad" : ""}`,
    h("div.pl-row.between", h("span.pl-row", stateBadge(one.state), h("strong", one.hub_id), h("span.pl-muted", one.commit ? `at ${one.commit.slice(0, 10)}` : one.revision)),
      failed ? h("span.pl-row", button("Try again", resume, { kind: "small", disabled: noHub }), button("Dismiss", hide, { kind: "small" })) : button("Cancel", cancel, { kind: "small", disabled: one.state === "stopping" ? "It is stopping." : null })),
    failed ? [h("p", one.reason), one.remedy && h("p.pl-muted", one.remedy)] : [h("small.pl-muted", one.total ? `${bytes(one.done)} of ${bytes(one.total)}` : one.state === "queued" ? "Waiting for a worker…" : "Asking the hub…"), progress(one.done, one.total, `Download of ${one.hub_id}`)]);
}
