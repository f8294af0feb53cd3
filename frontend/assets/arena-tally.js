// Who has won how often in the arena, with intervals: this session's votes, all of one's own, or everybody's.

import { get } from "./api.js";
import { fill, h, table, toastError } from "./dom.js";
import { count, number, percent, plural, rate } from "./format.js";
import { mayResearch } from "./frame.js";

const SINCE = "pl-arena-since";
const VIEWS = [
  ["session", "This session"],
  ["mine", "All yours"],
  ...(mayResearch ? [["all", "Everybody"]] : []), // everybody's votes are a result, which annotators do not see
];
export class Tally {
  constructor() {
    this.view = "session";
    this.since = began();
    this.place = h("div.pl-stack.tight");
    this.cluster = h("select.pl-input", { "aria-label": "Intervals over", hidden: true, onchange: () => this.refresh() },
      h("option", { value: "prompt" }, "Intervals over prompts"), h("option", { value: "person" }, "Intervals over people"));
    this.buttons = VIEWS.map(([name, words]) =>
      h("button", { type: "button", "aria-pressed": String(name === this.view), onclick: () => this.choose(name) }, words),
    );
    this.element = h(
      "section.pl-stack.tight.pl-arena-tally",
      h("div.pl-row.between", h("h2", "Tally"), h("div.pl-row", this.cluster, h("div.pl-segments", { role: "group", "aria-label": "Whose votes" }, this.buttons))),
      this.place,
    );
  }

  choose(name) {
    this.view = name;
    VIEWS.forEach(([one], index) => this.buttons[index].setAttribute("aria-pressed", String(one === name)));
    this.cluster.hidden = name !== "all";
    this.refresh();
  }

  async refresh() {
    const all = this.view === "all";
    const query = { mine: !all, since: this.view === "session" ? this.since : null, cluster: all ? this.cluster.value : "prompt" };
    try {
      this.draw(await get("/arena/tally", query));
    } catch (error) {
      toastError(error);
    }
  }

  draw({ votes, names, pairs, ranking, cluster }) {
    if (!votes) return void fill(this.place, h("p.pl-muted", "No votes yet. A vote counts here as soon as its names are shown, or the next conversation begins: before, the numbers would tell them."));
    const rows = pairs.sort((one, other) => other.win_rate.n - one.win_rate.n);
    const columns = [
      { title: "Pair", cell: (row) => h("span.pl-wrap", names[row.first], h("span.pl-muted", " against "), names[row.second]) },
      { title: "Won", cell: (row) => interval(row.win_rate), hint: "How often the first of the two won; a tie is half a win" },
      { title: "Win rate", cell: (row) => rate(row.win_rate), kind: "number", hint: hint(rows[0].win_rate, cluster) },
      { title: "Wins · ties · losses", cell: (row) => `${count(row.win_rate.wins)} · ${count(row.win_rate.ties)} · ${count(row.win_rate.losses)}`, kind: "number" },
    ];
    return void fill(this.place, table(`${plural(votes, "vote")} in the arena`, columns, rows), h("p.pl-muted.pl-note", hint(rows[0].win_rate, cluster)), ranking && standings(ranking, names, cluster));
  }
}

const OVER = { prompt: "first prompts of conversations", person: "people" };
const hint = ({ level, seed, tie_rule: ties }, cluster) =>
  `${percent(level)} intervals over ${OVER[cluster]} (seed ${seed}); a tie counts ${ties === "half" ? "half a win" : "as not won"}. A ranking counts as one comparison of every two answers, the best alone as one against each other.`;

// Who is how strong, of three or more; where no order of all exists, why, and who is apart.
function standings({ standings: rows, groups, reason, n, prompts, level, rounds, seed }, names, cluster) {
  const title = h("h3", "Ranking");
  if (!rows.length) {
    return h("section.pl-stack.tight", title, h("p", reason), h("ul", groups.map((group) => h("li.pl-wrap", group.map((id) => names[id]).join(", ")))),
      h("p.pl-muted", "Go on comparing: a ranking appears when each has won and lost against the others, if only through others."));
  }
  const ends = rows.flatMap(({ low, high, strength }) => [low ?? strength, high ?? strength]);
  const [least, most] = [Math.min(...ends), Math.max(...ends)];
  const at = (value) => (value - least) / Math.max(0.01, most - least);
  return h("section.pl-stack.tight", title, reason && h("p.pl-muted", reason), table("Ranking in the arena", [
    { title: "Rank", kind: "number", cell: (row) => count(row.rank) },
    { title: "Checkpoint", cell: (row) => h("strong.pl-wrap", names[row.contestant]) },
    { title: "Ranks possible", kind: "number", cell: (row) => (!rounds ? "–" : row.best === row.worst ? count(row.best) : `${count(row.best)}–${count(row.worst)}`) },
    { title: "", cell: (row) => bar(at(row.strength), at(row.low ?? row.strength), at(row.high ?? row.strength)) },
    { title: "Strength", kind: "number", hint: "Bradley-Terry, in log odds against the mean; a tie is half a win of each", cell: (row) => h("span", number(row.strength, 2), row.low === null && row.high === null ? null : h("span.pl-muted", ` ${row.low === null ? "no lower bound" : number(row.low, 2)} to ${row.high === null ? "no upper bound" : number(row.high, 2)}`)) },
    { title: "Comparisons", kind: "number", cell: (row) => count(row.matches) },
  ], rows), h("p.pl-muted.pl-note", `Bradley-Terry strengths from ${plural(n, "comparison")} on ${plural(prompts, cluster === "person" ? "person" : "first prompt", cluster === "person" ? "people" : "first prompts")}${rounds ? `; ${percent(level)} intervals from ${count(rounds)} rounds that draw ${OVER[cluster]} anew (seed ${seed})` : ""}.`));
}

// A bar from 0 to 100 % with the interval and the point; words stand beside it.
export function interval({ rate: value, low, high }) {
  const bar = h("div.pl-interval", { "aria-hidden": "true" }, h("i.pl-even"));
  if (value !== null) draw(bar, value, low, high);
  return bar;
}

const bar = (...shares) => draw(h("div.pl-interval", { "aria-hidden": "true" }), ...shares);

function draw(place, value, low, high) {
  const at = (share) => `${(share * 100).toFixed(1)}%`;
  if (low !== null) place.append(h("i.pl-range", { style: { left: at(low), width: at(Math.max(0.004, high - low)) } }));
  place.append(h("i.pl-point", { style: { left: at(value) } }));
  return place;
}

// The session begins with the first visit in this browser tab.
function began() {
  const now = new Date().toISOString();
  try {
    const known = sessionStorage.getItem(SINCE);
    if (known) return known;
    sessionStorage.setItem(SINCE, now);
  } catch {
    // Storage is off: the session begins with this page.
  }
  return now;
}
