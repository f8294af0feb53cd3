// A run that is trained elsewhere: how to start it there, and whether it is heard of.

import { del, get, newKey, post } from "./api.js";
import { badge, button, confirm, copy, dialog, fill, h, toast, toastError } from "./dom.js";
import { ago, duration } from "./format.js";
import { moving } from "./run-state.js";

const HOURS = [[8, "8 hours"], [24, "a day"], [72, "3 days"], [24 * 7, "a week"], [24 * 30, "30 days"]];

// `now()` is the run as it is known by then.
export function reporter(now) {
  const element = h("section.pl-card.pl-stack.tight", { "aria-label": "Trained elsewhere", hidden: true });
  const open = () => moving(now()) || now().state === "lost";
  const hours = h("select.pl-input.pl-run-hours", { "aria-label": "How long the token is good for" }, HOURS.map(([value, words]) => h("option", { value, selected: value === 72 }, words)));

  async function refresh() {
    element.hidden = now().place !== "elsewhere" || !open();
    if (element.hidden) return;
    const state = await get(`/runs/${now().id}/reporter`, {}, { quiet: true }).catch(() => null);
    if (state) draw(state);
  }

  function draw(state) {
    const facts = [
      ["Machine", state.host || "none yet"],
      ...(state.device ? [["Device", state.device]] : []),
      ["Last heard of", state.heard_at ? ago(state.heard_at) : "never"],
      ["Token", state.token ? [h("code.pl-mono", `${state.token}…`), " good for ", duration((new Date(state.expires_at) - new Date()) / 1000), " more"] : "none is good now"],
    ];
    fill(element, h("div.pl-row.between", h("h2", "Trained elsewhere"), connection(state)),
      h("p.pl-muted", state.host ? "The program on that machine sends what training writes. If it is cut off, training goes on there, and the rest follows." : "Make a token, then run the command on the machine that trains. It needs Plumbline installed and this server's address, nothing else."),
      h("dl.pl-facts", facts.map(([name, value]) => [h("dt", name), h("dd", value)])),
      h("div.pl-row", "Good for", hours, button(state.token ? "New token" : "Make a token", give, { kind: state.token ? "" : "primary" }),
        state.token ? button("Revoke", revoke, { kind: "danger" }) : null));
  }

  async function give() {
    try {
      const made = await post(`/runs/${now().id}/reporter`, { hours: Number(hours.value) }, { key: newKey() });
      await refresh();
      await show(made);
    } catch (error) {
      toastError(error);
    }
  }

  async function revoke() {
    if (!(await confirm("Revoke the token?", "The program elsewhere can send nothing more. It trains on, and keeps what it makes there.", "Revoke"))) return;
    try {
      await del(`/runs/${now().id}/reporter`);
      toast("Revoked.");
      await refresh();
    } catch (error) {
      toastError(error);
    }
  }

  return { element, refresh };
}

function connection(state) {
  if (state.connected) return badge("connected", "good");
  return state.heard_at ? badge("not heard of", "warn") : badge("waiting for it", "idle");
}

const show = (made) =>
  dialog("Run this on the machine that trains", (close) => [
    h("p", "It holds the token, which is good for this run alone. It is not kept and cannot be shown again."),
    h("pre.pl-run-words", made.command),
    h("div.pl-row.end", button("Copy", () => copy(made.command)), button("Done", () => close(), { kind: "primary" })),
  ]);
