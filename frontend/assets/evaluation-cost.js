// What an evaluation has cost at endpoints, what it took from earlier ones, and going on with a higher limit.

import { post } from "./api.js";
import { button, dialog, field, h, showError, toastError } from "./dom.js";
import { count, plural } from "./format.js";

export const amount = (money) => money.toLocaleString("en", { maximumFractionDigits: money < 1 ? 4 : 2 });

// Rows of facts: nothing of an evaluation that asked no endpoint and took nothing.
export function costs({ spent, limits, taken, reuse }) {
  const rows = [];
  if (taken && taken.answers + taken.verdicts) rows.push(["From earlier evaluations", `${plural(taken.answers, "answer")} and ${plural(taken.verdicts, "verdict")}`]);
  if (reuse === false) rows.push(["Drawn", "anew, also what earlier evaluations hold"]);
  if (spent?.requests) {
    const guess = spent.estimated ? ` · the tokens of ${plural(spent.estimated, "request")} are estimated from characters` : "";
    rows.push(["Spent", `${spent.money ? `${amount(spent.money)} in money · ` : ""}${count(spent.read)} tokens read, ${count(spent.written)} written in ${plural(spent.requests, "request")}${guess}`]);
  }
  if (limits) rows.push(["Limit", most(limits)]);
  return rows;
}

const most = ({ money, tokens }) => [money !== null && `${amount(money)} in money`, tokens !== null && `${count(tokens)} tokens`].filter(Boolean).join(" and ") || "none";

// Ask for other limits, then let the evaluation go on.
export function goOn(evaluation) {
  const { money, tokens } = evaluation.limits;
  const inputs = { money: h("input", { type: "number", min: 0, step: "any", value: money ?? "" }), tokens: h("input", { type: "number", min: 1, value: tokens ?? "" }) };
  const fields = { money: field("Spend at most, money", inputs.money), tokens: field("Spend at most, tokens", inputs.tokens) };
  const value = (input) => (input.value === "" ? null : Number(input.value));
  const shown = dialog("Go on with other limits", (close) => {
    const send = async (event) => {
      event.preventDefault();
      try {
        await post(`/evaluations/${evaluation.id}/resume`, { limits: { money: value(inputs.money), tokens: value(inputs.tokens) } });
        close("resumed");
        location.reload();
      } catch (error) {
        const at = fields[(error.field || "").replace("limits.", "")];
        if (at) showError(at, [error.detail, error.remedy].filter(Boolean).join(" "));
        else toastError(error);
      }
    };
    return h("form.pl-stack", { onsubmit: send, novalidate: true }, fields.money, fields.tokens,
      h("p.pl-muted", "Empty is no limit. What is answered and judged already is kept and not paid for again."), h("div.pl-row.end", button("Go on", null, { type: "submit", kind: "primary" })));
  });
  return shown;
}
