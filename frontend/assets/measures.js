// Everything that is measured of an evaluation's contestants, as one list: rates, judges' scores, length and variety.

import { METERS, SHARES } from "./evaluation-meters.js";
import { number, percent } from "./format.js";
import { judgeName } from "./judge-name.js";

const LESS = ["self_bleu", "repetition", "loops", "tokens", "words"]; // where less is better unless somebody says otherwise

// [{key, name, less, share, values: {contestant: {value, low, high, n}}}] of those that two contestants or more have.
export function measures(report, meters, divergences) {
  const base = report.contestants[0].id;
  const found = [];
  for (const one of report.tables) {
    const values = Object.fromEntries(one.pairs.filter((pair) => pair.second === base && pair.win_rate.rate !== null).map(({ first, win_rate: rate }) => [first, { ...rate, value: rate.rate }]));
    if (Object.keys(values).length) values[base] = { value: 0.5, low: null, high: null, n: null };
    found.push({ key: `win:${one.judge}`, name: `Win rate against the baseline by ${judgeName(one.judge, report.evaluation)}`, less: false, share: true, values });
  }
  for (const name of new Set(report.contestants.flatMap((one) => Object.keys(one.scores)))) {
    const values = report.contestants.filter((one) => one.scores[name] && one.scores[name].mean !== null).map((one) => [one.id, { ...one.scores[name], value: one.scores[name].mean }]);
    found.push({ key: `score:${name}`, name: `Score: ${name}`, less: false, share: false, values: Object.fromEntries(values) });
  }
  for (const [name, [words]] of Object.entries(METERS)) {
    const values = meters.contestants.filter((one) => one.meters[name].value !== null).map((one) => [one.contestant, one.meters[name]]);
    found.push({ key: `meter:${name}`, name: words, less: LESS.includes(name), share: SHARES.includes(name), values: Object.fromEntries(values) });
  }
  for (const { reference, items } of divergences) {
    const exact = items.every((one) => one.exact.n === one.k1.n);
    const values = items.filter((one) => one.k1.value !== null).map((one) => [one.contestant, exact ? one.exact : one.k1]);
    if (values.length && report.contestants.some((one) => one.id === reference.id)) values.push([reference.id, { value: 0, low: null, high: null }]);
    found.push({ key: `kl:${reference.id}`, name: `KL to ${reference.name} (nats an answer)`, less: true, share: false, values: Object.fromEntries(values) });
  }
  return found.filter((one) => Object.keys(one.values).length > 1);
}

export const written = (measure, value) => (measure.share ? percent(value, 1) : number(value, 3));

export const bounds = (measure, { low, high }) => (low === null || low === undefined ? "" : ` (${written(measure, low)} to ${written(measure, high)})`);

// Of points {x, y}, larger being better in both, those that no other one reaches in both: their places, by x.
export function front(points) {
  const better = (one, other) => other.x >= one.x && other.y >= one.y && (other.x > one.x || other.y > one.y);
  const kept = points.map((_, index) => index).filter((index) => !points.some((other) => better(points[index], other)));
  return kept.sort((one, other) => points[one].x - points[other].x);
}
