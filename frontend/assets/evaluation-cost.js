// What work costs at endpoints: expected, spent, taken from earlier, limited, and going on with a higher limit.

import { post } from "./api.js";
import { button, dialog, field, h, showError, toastError } from "./dom.js";
import { count, plural } from "./format.js";

export const amount = (money) => money.toLocaleString("en", { maximumFractionDigits: money < 1 ? 4 : 2 });

// Rows of facts: nothing of an evaluation that asked no endpoint and took nothing.
export function costs({ spent, limits, taken, reuse }) {
  const rows = [];
  if (taken && taken.answers + taken.verdicts) rows.push(["From earlier evaluations", `${plural(taken.answers, "answer")} and ${plural(taken.verdicts, "verdict")}`]);
  if (reuse === false) rows.push(["Drawn", "anew, also what earlier evaluations hold"]);
  if (spent?.requests) rows.push(["Spent", paid(spent)]);
  if (limits) rows.push(["Limit", most(limits)]);
  return rows;
}

// What was spent, in words.
export function paid(spent) {
  const guess = spent.estimated ? ` · the tokens of ${plural(spent.estimated, "request")} are estimated from characters` : "";
  return `${spent.money ? `${amount(spent.money)} in money · ` : ""}${count(spent.read)} tokens read, ${count(spent.written)} written in ${plural(spent.requests, "request")}${guess}`;
}

// What endpoints are expected to cost: rows of facts, none where no endpoint is asked.
export function expected(cost) {
  if (!cost) return [];
  const { requests, tokens, money, unpriced } = cost;
  const price = unpriced.length ? `${unpriced.join(", ")}: no price given` : `${amount(money.low)} to ${amount(money.high)}`;
  return [["Requests", `${count(requests)} to endpoints, ${count(tokens.low)} to ${count(tokens.high)} tokens`], ["Cost", price]];
}

// Fields of a limit, what they hold as a body, and the field that a refusal is about.
export function limitFields(limits = null, onchange = null) {
  const input = (value, more) => h("input", { type: "number", value: value ?? "", placeholder: "no limit", oninput: onchange, ...more });
  const money = input(limits?.money, { min: 0, step: "any" });
  const tokens = input(limits?.tokens, { min: 1 });
  const fields = {
    money: field("Spend at most, money", money, { help: "At endpoints, in the currency of their prices." }),
    tokens: field("Spend at most, tokens", tokens, { help: "At endpoints, read and written." }),
  };
  const number = (one) => (one.value === "" ? null : Number(one.value));
  return {
    fields,
    value: () => (money.value || tokens.value ? { money: number(money), tokens: number(tokens) } : null),
    of: (error) => fields[(error.field || "").replace(/^limits\./, "")],
  };
}

export const most = ({ money, tokens }) => [money !== null && `${amount(money)} in money`, tokens !== null && `${count(tokens)} tokens`].filter(Boolean).join(" and ") || "none";

// Ask for other limits, then let the work at this path go on.
export function goOn(path, limits, done) {
  const chosen = limitFields(limits);
  return dialog("Go on with other limits", (close) => {
    const send = async (event) => {
      event.preventDefault();
      try {
        await post(`${path}/resume`, { limits: chosen.value() || { money: null, tokens: null } });
        close("resumed");
        done();
      } catch (error) {
        const at = chosen.of(error);
        if (at) showError(at, [error.detail, error.remedy].filter(Boolean).join(" "));
        else toastError(error);
      }
    };
    return h("form.pl-stack", { onsubmit: send, novalidate: true }, Object.values(chosen.fields),
      h("p.pl-muted", "Empty is no limit. What is there already is kept and not paid for again."), h("div.pl-row.end", button("Go on", null, { type: "submit", kind: "primary" })));
  });
}
