// An answer token by token: how much likelier the checkpoint finds each than a reference does, as a heat map and a table.

import { get, post } from "./api.js";
import { badge, button, errorCard, fill, h, table, toastError } from "./dom.js";
import { count, number } from "./format.js";
import { param, setParam } from "./frame.js";
import { live } from "./live.js";

const MOVING = ["queued", "starting", "running", "stopping"];
const LEAST = 1; // nats at which the colors are full, at the least
const SHARE = 0.95; // of the tokens lie within the scale

// `order` says which of the match's sides stands left: ["a", "b"] or the other way.
export class TokenView {
  constructor(place, match, order, names) {
    Object.assign(this, { place, match, order, names, path: `/matches/${match.id}/tokens` });
    this.side = order.includes(param("tokens")) ? param("tokens") : order[1];
    this.body = h("div.pl-stack.tight");
  }

  start() {
    this.segments = this.order.map((side, index) => h("button", { type: "button", value: side, onclick: () => this.turn(side) }, `${"AB"[index]}`));
    this.reference = h("select.pl-input.pl-eval-filter", { "aria-label": "Reference", onchange: () => { setParam("reference", this.reference.value); this.show(); } });
    fill(this.place, h("div.pl-row.between", h("h2", "Token by token"), h("div.pl-row", h("div.pl-segments", { role: "group", "aria-label": "Which answer" }, this.segments), this.reference)), this.body);
    this.known = [];
    this.turn(this.side);
    this.refresh();
  }

  stop() {
    this.watching?.stop();
    this.watching = null;
    this.stopped = true;
  }

  async refresh() {
    try {
      this.known = (await get(this.path)).items;
      if (!this.stopped) this.show();
    } catch (error) {
      fill(this.body, errorCard(error, () => this.refresh()));
    }
  }

  turn(side) {
    this.side = side;
    setParam("tokens", side === this.order[1] ? null : side);
    for (const one of this.segments) one.setAttribute("aria-pressed", String(one.value === side));
    const choices = this.match.references[side];
    this.reference.replaceChildren(...choices.map(({ checkpoint, role }) => h("option", { value: checkpoint.id, selected: checkpoint.id === param("reference") }, `${checkpoint.name} (${role})`)));
    this.reference.hidden = !choices.length;
    this.show();
  }

  show() {
    const policy = this.names[this.match[this.side].checkpoint_id];
    if (!this.match.references[this.side].length) return void fill(this.body, h("p.pl-muted", `There is nothing to read this answer against: the weights of “${policy}” and of another checkpoint must be on this server.`));
    const reference = this.reference.selectedOptions[0].textContent.replace(/ \([^(]*\)$/, "");
    const one = this.known.find((row) => row.side === this.side && row.reference_id === this.reference.value);
    if (!one || one.state === "cancelled") return void fill(this.body, this.offer(policy, reference));
    if (MOVING.includes(one.state)) {
      fill(this.body, h("div.pl-row", badge("reading the tokens…", "live"), button("Cancel", () => this.cancel(one), { kind: "small quiet" })));
      return this.follow();
    }
    if (!one.tokens) return void fill(this.body, h("div.pl-error", { role: "alert" }, h("strong", one.reason), one.remedy && h("p.pl-muted", one.remedy)), this.offer(policy, reference));
    return void fill(this.body, heat(one.tokens, policy, reference));
  }

  offer = (policy, reference) => h("div.pl-row", button("Read the tokens", () => this.ask(), { kind: "small" }), h("span.pl-muted", `See where “${policy}” departs from “${reference}”; a worker loads both.`));

  async ask() {
    try {
      this.note(await post(this.path, { side: this.side, reference_id: this.reference.value }));
    } catch (error) {
      toastError(error);
    }
  }

  async cancel(one) {
    try {
      this.note(await post(`/token-scores/${one.id}/cancel`, {}));
    } catch (error) {
      toastError(error);
      this.refresh();
    }
  }

  note(row) {
    this.known = [...this.known.filter((one) => one.id !== row.id), row];
    this.show();
  }

  follow() {
    this.watching ||= live(async (signal) => {
      this.known = (await get(this.path, {}, { signal })).items;
      if (this.stopped) return "done";
      const moving = this.known.some((one) => MOVING.includes(one.state));
      if (!moving) this.watching = null;
      if (!moving) this.show();
      return moving ? false : "done";
    }, { seconds: 0.7, slowest: 3 });
  }
}

// How far the colors reach: so that nearly all tokens are told apart.
function scale(ratios) {
  const sizes = ratios.map(Math.abs).sort((one, other) => one - other);
  return Math.max(LEAST, sizes[Math.floor(SHARE * (sizes.length - 1))] || 0);
}

const signed = (value) => `${value > 0 ? "+" : ""}${number(value, 3)}`;
const visible = (text) => (text === "" ? "·" : text.replaceAll("\n", "↵\n").replaceAll("\t", "⇥"));

function heat(tokens, policy, reference) {
  const ratios = tokens.map((one) => one.policy - one.reference);
  const most = scale(ratios);
  const total = ratios.reduce((sum, one) => sum + one, 0);
  const told = h("p.pl-token-told", { role: "status" }, "Point at a token, or move through them with ← and →.");
  const spans = tokens.map((one, place) => {
    const ratio = ratios[place];
    const strength = Math.min(1, Math.abs(ratio) / most);
    return h("span.pl-token", { class: ratio > 0 ? "more" : "less", style: { "--pl-token": `${Math.round(62 * strength)}%` }, title: `${signed(ratio)} nats`, dataset: { place } }, visible(one.text));
  });
  let at = -1;
  const stand = (place) => {
    if (place < 0 || place >= tokens.length) return;
    spans[at]?.classList.remove("here");
    at = place;
    spans[at].classList.add("here");
    const { text, policy: own, reference: other } = tokens[at];
    told.replaceChildren(h("b", `${count(at + 1)}. “${visible(text).trim() || "␣"}”`), ` ${signed(ratios[at])} nats: log-probability ${number(own, 3)} here, ${number(other, 3)} under the reference.`);
  };
  const text = h("div.pl-tokens", { tabindex: 0, role: "application", "aria-label": "Tokens of the answer; left and right move through them", "aria-describedby": told.id = "pl-token-told" }, spans);
  text.addEventListener("pointerover", (event) => stand(Number(event.target.dataset?.place ?? -1)));
  text.addEventListener("click", (event) => stand(Number(event.target.dataset?.place ?? -1)));
  text.addEventListener("keydown", (event) => {
    const next = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: tokens.length - 1 }[event.key];
    if (next === undefined) return;
    event.preventDefault();
    event.stopPropagation();
    stand(next);
  });
  return [
    h("div.pl-row", legend(most), h("span.pl-muted", `Whole answer: ${signed(total)} nats over ${count(tokens.length)} tokens, ${signed(total / tokens.length)} each`)),
    text, told, asTable(tokens, ratios, policy, reference),
  ];
}

const legend = (most) => h("div.pl-token-legend", { role: "img", "aria-label": `Colors from ${number(-most, 2)} nats, likelier under the reference, to +${number(most, 2)}, likelier here` },
  h("span", `${number(-most, 2)} likelier under the reference`), h("i"), h("span", `likelier here +${number(most, 2)}`));

const asTable = (tokens, ratios, policy, reference) => {
  const place = h("details", h("summary", "As a table"));
  place.addEventListener("toggle", () => {
    if (!place.open || place.querySelector("table")) return;
    place.append(table(`Tokens under ${policy} and ${reference}`, [
      { title: "No.", kind: "number", cell: (row) => count(row + 1) },
      { title: "Token", cell: (row) => h("code.pl-wrap", visible(tokens[row].text)) },
      { title: "Log-ratio (nats)", kind: "number", cell: (row) => signed(ratios[row]) },
      { title: policy, kind: "number", cell: (row) => number(tokens[row].policy, 3) },
      { title: reference, kind: "number", cell: (row) => number(tokens[row].reference, 3) },
    ], tokens.map((_, row) => row)));
  });
  return place;
};
