// What a new evaluation would take, in facts, and how surely it would tell an even win rate.

import { h } from "./dom.js";
import { expected } from "./evaluation-cost.js";
import { count, duration, plural } from "./format.js";

// `size` as POST /evaluations/preflight answers; `tasks` is how many public benchmarks are named.
export function takes(size, tasks) {
  const { prompts, responses, verdicts, matches, taken, seconds } = size;
  const facts = [
    ["Prompts", prompts < size.available ? `${count(prompts)} of ${count(size.available)}` : count(prompts)],
    ["Answers", earlier(responses, taken.answers)],
    ["Matches", count(matches)],
    ["Verdicts", !matches ? "none" : verdicts ? [earlier(verdicts, taken.verdicts), ", both side orders"] : "by people"],
    ["New tokens", taken.answers >= responses ? "none in answers" : `at most ${count(Math.round(size.tokens_at_most * (1 - taken.answers / responses)))} in answers`],
    ...expected(size.cost),
    ["Benchmarks", tasks ? `${plural(tasks, "task")} on every contestant` : "none"],
    ["Time", seconds ? `${duration(seconds.low)} to ${duration(seconds.high)}${tasks ? " without the benchmarks" : ""}, as earlier evaluations took` : "no earlier evaluation tells"],
  ];
  const half = prompts ? 98 / Math.sqrt(prompts) : null;
  return [
    h("dl.pl-facts", facts.map(([name, value]) => [h("dt", name), h("dd", value)])),
    half && h("p.pl-muted", `With ${plural(prompts, "prompt")}, an even win rate is known to about ±${Math.round(half)} points.`),
  ];
}

// What there is to ask, and how much of it earlier evaluations hold.
const earlier = (all, taken) => (taken ? `${count(all)}, ${taken === all ? "all" : count(taken)} taken from earlier evaluations` : count(all));
