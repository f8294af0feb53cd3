// Who has won how often in the arena, with intervals: this session's votes, all of one's own, or everybody's.

import { get } from "./api.js";
import { fill, h, table, toastError } from "./dom.js";
import { count, percent, plural, rate } from "./format.js";
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
    this.place = h("div");
    this.buttons = VIEWS.map(([name, words]) =>
      h("button", { type: "button", "aria-pressed": String(name === this.view), onclick: () => this.choose(name) }, words),
    );
    this.element = h(
      "section.pl-stack.tight.pl-arena-tally",
      h("div.pl-row.between", h("h2", "Tally"), h("div.pl-segments", { role: "group", "aria-label": "Whose votes" }, this.buttons)),
      this.place,
    );
  }

  choose(name) {
    this.view = name;
    VIEWS.forEach(([one], index) => this.buttons[index].setAttribute("aria-pressed", String(one === name)));
    this.refresh();
  }

  async refresh() {
    const query = { mine: this.view !== "all", since: this.view === "session" ? this.since : null };
    try {
      this.draw(await get("/arena/tally", query));
    } catch (error) {
      toastError(error);
    }
  }

  draw({ votes, names, pairs }) {
    if (!votes) return void fill(this.place, h("p.pl-muted", "No votes yet. Every vote counts here as soon as it is given."));
    const rows = pairs.sort((one, other) => other.win_rate.n - one.win_rate.n);
    const columns = [
      { title: "Pair", cell: (row) => h("span.pl-wrap", names[row.first], h("span.pl-muted", " against "), names[row.second]) },
      { title: "Won", cell: (row) => interval(row.win_rate), hint: "How often the first of the two won; a tie is half a win" },
      { title: "Win rate", cell: (row) => rate(row.win_rate), kind: "number", hint: hint(rows[0].win_rate) },
      { title: "Wins · ties · losses", cell: (row) => `${count(row.win_rate.wins)} · ${count(row.win_rate.ties)} · ${count(row.win_rate.losses)}`, kind: "number" },
    ];
    return void fill(this.place, table(`${plural(votes, "vote")} in the arena`, columns, rows), h("p.pl-muted.pl-note", hint(rows[0].win_rate)));
  }
}

const hint = ({ level, seed, tie_rule: ties }) => `${percent(level)} intervals over prompts (seed ${seed}); a tie counts ${ties === "half" ? "half a win" : "as not won"}.`;

// A bar from 0 to 100 % with the interval and the point; words stand beside it.
export function interval({ rate: value, low, high }) {
  const bar = h("div.pl-interval", { "aria-hidden": "true" }, h("i.pl-even"));
  if (value === null) return bar;
  const at = (share) => `${(share * 100).toFixed(1)}%`;
  bar.append(h("i.pl-range", { style: { left: at(low), width: at(Math.max(0.004, high - low)) } }), h("i.pl-point", { style: { left: at(value) } }));
  return bar;
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
