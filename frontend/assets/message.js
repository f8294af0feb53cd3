// One chat message as it is shown to whoever judges it: {role, html, text, reasoning, tool_calls}.

import { h, html } from "./dom.js";

const ROLES = { system: "System", user: "Person", assistant: "Assistant", tool: "Tool" };

export const message = (one) => [
  one.reasoning && h("details.pl-pair-extra.pl-reasoning", h("summary", "Reasoning"), h("div.pl-prose.pl-plain", one.reasoning)),
  one.html && html(one.html),
  (one.tool_calls || []).map(call),
];

// A call of a tool: its name, and each argument by itself.
const call = ({ name, arguments: given }) =>
  h(
    "section.pl-call",
    { "aria-label": name ? `Call of ${name}` : "Call of a tool" },
    h("div.pl-call-name", "Calls ", name ? h("code", name) : "a tool", given.length ? null : " without arguments"),
    given.length ? h("dl", given.map(argument)) : null,
  );

const argument = ({ name, text }) => [h("dt", name ?? ""), h("dd", text)];

export const turn = (one) =>
  h("div.pl-turn", { class: one.role }, h("span.pl-turn-role", ROLES[one.role] || one.role), h("div", message(one)));
