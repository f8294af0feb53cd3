// A value with its interval as a line as small as a word, for tables: what is known, and how surely.

import { h } from "./dom.js";

// intervalLine({ value, low, high }, { from: 0, to: 1, mark: 0.5 }): `mark` is where chance or evenness lies.
export function intervalLine({ value, low, high }, { from = 0, to = 1, mark = null, label }) {
  const at = (number) => `${(100 * (Math.min(to, Math.max(from, number)) - from)) / (to - from)}%`;
  const line = h("div.pl-interval.pl-interval-small", { role: "img", "aria-label": label });
  if (mark !== null) line.append(h("i.pl-interval-mark", { style: { left: at(mark) } }));
  if (value === null || value === undefined) return line;
  if (low !== null && low !== undefined) line.append(h("i.pl-range", { style: { left: at(low), right: `calc(100% - ${at(high)})` } }));
  line.append(h("i.pl-point", { style: { left: at(value) } }));
  return line;
}
