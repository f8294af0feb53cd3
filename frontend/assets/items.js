// Items as people read them: a prompt, its responses, and which one the labels prefer. All of it is plain text, where the
// server has not drawn it (`shown`: {prompt, responses}, each message as whoever judges it sees it).

import { badge, h } from "./dom.js";
import { plural } from "./format.js";
import { message as drawn } from "./message.js";

const ROLES = { system: "System", user: "Person", assistant: "Assistant", tool: "Tool" };
const LONG = 420; // characters that are shown before a text folds

const said = (message) =>
  typeof message.content === "string" ? message.content : (message.content || []).map((part) => part.text || "").join("");

const MEDIA = { image: "picture", image_url: "picture", audio: "sound", input_audio: "sound", video: "video", video_url: "video", file: "file" };

const media = (message) => (message.parts || []).filter((part) => MEDIA[part.type]).map((part) => badge(MEDIA[part.type]));

// What a turn holds besides its text: media, reasoning, calls of tools. Nothing of it is loaded or run.
function besides(message) {
  const calls = (message.tool_calls || []).map((call) => h("pre.pl-mono.pl-wrap", `calls ${JSON.stringify(call.function || call)}`));
  const reasoning = message.reasoning ? h("details", h("summary", "Reasoning"), h("div.pl-prose.pl-plain", message.reasoning)) : null;
  return [...pictures(message), reasoning, calls];
}

const pictures = (message) => (media(message).length ? [h("div.pl-row", media(message))] : []);

// A message as the server has drawn it, or as plain text.
const whole = (message, shown) => (shown ? [drawn(shown), pictures(message)] : [message.content ? text(said(message)) : null, besides(message)]);

// A text that unfolds when it is long.
function text(content) {
  if (content.length <= LONG) return h("div.pl-prose.pl-plain", content);
  const place = h("div.pl-prose.pl-plain", `${content.slice(0, LONG)}… `);
  const more = h("button.pl-button.small.quiet", { type: "button", onclick: () => place.replaceChildren(content) }, "Show all");
  place.append(more);
  return place;
}

const turn = (message, shown) => h("div.pl-item-turn", h("span.pl-item-role", ROLES[message.role] || message.role), whole(message, shown));

function prompt(messages, shown) {
  const turns = messages.map((message, place) => turn(message, shown?.[place]));
  const early = turns.slice(0, -1);
  return h(
    "div.pl-item-prompt",
    early.length ? h("details", h("summary", plural(early.length, "earlier turn")), early) : null,
    turns.slice(-1),
  );
}

const HOW_MUCH = ["", "slightly ", "", "much "]; // as the labelling page says it

// What one label says, in words. `first` and `second` are the item's own order. A file's plain preference has strength
// 1 for want of another, so an imported label is not called slight.
export function verdict(value, source = "import") {
  if (value.both_bad) return "both bad";
  if (value.skip !== undefined) return "skipped";
  if (value.retracted) return "taken back";
  if (value.thumb !== undefined) return value.thumb ? "wanted" : "not wanted";
  if (value.ranking) return value.ranking.map((group) => group.map((place) => place + 1).join(" = ")).join(" > ");
  if (!value.strength) return "tie";
  const strength = Math.abs(value.strength);
  return `${value.strength > 0 ? "first" : "second"} is ${strength === 1 && source === "import" ? "" : HOW_MUCH[strength]}better`;
}

// Which response most labels prefer: 0, 1, or null.
function preferred(labels) {
  const sum = labels.reduce((total, label) => total + Math.sign((label.value || label).strength || 0), 0);
  return sum > 0 ? 0 : sum < 0 ? 1 : null;
}

function response(message, index, item, best) {
  const { ranks, scores, aspects } = item.facts || {};
  const marks = [
    best === index ? badge("✓ preferred", "good") : null,
    ranks ? badge(`rank ${ranks[index]}`, ranks[index] === Math.min(...ranks) ? "good" : "") : null,
    scores ? badge(`score ${scores[index]}`) : null,
    aspects ? Object.entries(aspects[index] || {}).map(([name, value]) => badge(`${name} ${value}`)) : null,
  ];
  return h(
    "div.pl-item-response",
    { class: best === index ? "best" : "" },
    h("span.pl-item-role", item.responses.length > 1 ? `Response ${index + 1}` : "Response", marks),
    whole(message, item.shown?.responses[index]),
  );
}

// What the item says of its responses: labels of a pair, a thumb, or nothing.
function judged(item) {
  const { desirable, ranks } = item.facts || {};
  if (desirable !== undefined) return badge(desirable ? "✓ wanted" : "✗ not wanted", desirable ? "good" : "bad");
  if (item.responses.length !== 2 || ranks) return null;
  if (!item.labels.length) return badge("not labelled");
  return item.labels.map((label) => badge(`${label.source ? `${label.source}: ` : ""}${verdict(label.value || label, label.source)}`));
}

// One item as a card; `aside` is what stands above it (its number, its split).
export function itemCard(item, ...aside) {
  const best = preferred(item.labels);
  return h(
    "article.pl-card.pl-item",
    h("div.pl-row", aside, judged(item)),
    prompt(item.prompt, item.shown?.prompt),
    item.responses.length ? h("div.pl-item-sides", { class: item.responses.length > 2 ? "many" : "" }, item.responses.map((one, index) => response(one, index, item, best))) : null,
  );
}

// Bad rows as a table; field and reason are ours, the excerpt is the file's.
export const problemColumns = [
  { title: "Line", cell: (row) => (row.line ? String(row.line) : "–"), kind: "number" },
  { title: "Field", cell: (row) => h("span.pl-mono", row.field) },
  { title: "Reason", cell: (row) => h("span.pl-wrap", row.reason) },
  { title: "Row begins", cell: (row) => h("span.pl-mono.pl-muted", row.excerpt) },
];
