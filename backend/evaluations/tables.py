"""What one judge, or people, said amounts to: who won each match, win rates by pair, side orders, silence."""

import math
from collections import Counter

import numpy as np

from alignment.judges.llm import UNREADABLE
from alignment.statistics import by_pair, rated
from alignment.statistics.ranking import Met
from backend.evaluations import judge_words
from backend.evaluations.columns import Flags, Floats, Matches, Places, Voice
from backend.evaluations.report_schemas import PairOut, TableOut
from backend.evaluations.said import ORDERS, PEOPLE, Rule, rate_out


def scores(voice: Voice, matches: int) -> Floats:
    """The outcome of `a` in each match, nan where it is not decided.

    People's votes are averaged, and imported verdicts that tell no side order. A judge decides in both side orders:
    where they differ it is a tie, and a match with only one of them is not decided.
    """
    said = voice.outcome
    told = ~np.isnan(said)
    n = np.bincount(voice.match[told], minlength=matches)
    total = np.bincount(voice.match[told], weights=said[told], minlength=matches)
    mean = np.divide(total, n, out=np.full(matches, np.nan), where=n > 0)
    ordered = np.zeros(matches, dtype=np.bool_)
    ordered[voice.match[::-1]] = voice.ordered[::-1]  # as the first verdict has it
    clear = np.where((total == 0) | (total == n), mean, 0.5)
    return np.where(ordered, np.where(n < ORDERS, np.nan, clear), mean)


def decided(voice: Voice, matches: Matches) -> Met:
    """Every match with an outcome, once, in the order in which they were decided: by their last verdicts."""
    score, last = scores(voice, len(matches.prompt)), np.full(len(matches.prompt), -1)
    last[voice.match] = np.arange(len(voice.match))
    known = np.flatnonzero(~np.isnan(score))
    return _met(matches, known[np.argsort(last[known])], score)


def first_votes(voice: Voice, matches: Matches) -> Met:
    """Every match by the first that a person said of it: later votes on the same one would change what has been looked
    at, and bounds that hold however often one looks hold for numbers that stand."""
    said, size = voice.outcome, len(matches.prompt)
    told = np.flatnonzero(~np.isnan(said))
    first = np.full(size, len(said))
    first[voice.match[told][::-1]] = told[::-1]
    known = np.flatnonzero(first < len(said))
    score = np.full(size, np.nan)
    score[known] = said[first[known]]
    return _met(matches, known[np.argsort(first[known])], score)


def _met(matches: Matches, known: Places, score: Floats) -> Met:
    return Met(matches.prompt[known], matches.a[known], matches.b[known], score[known])


def pairs(voice: Voice, matches: Matches, met: Met, rule: Rule) -> list[PairOut]:
    """A row for every pair of contestants, the later one's rate against the earlier one; `met` is what is decided."""
    size = len(matches.contestants)
    pair = np.maximum(matches.a, matches.b) * size + np.minimum(matches.a, matches.b)
    own = pair[voice.match].astype(np.min_scalar_type(size**2))
    order = np.argsort(own, kind="stable")
    bounds = np.searchsorted(own[order], np.arange(size**2 + 1))
    both, agreed = both_orders(voice, len(pair))
    contradicted = np.bincount(pair[both[~agreed]], minlength=size**2)
    both_bad = np.bincount(own[voice.both_bad], minlength=size**2)
    silent = np.flatnonzero(np.isnan(voice.probability))
    undecided: dict[int, Counter[str]] = {}
    for place, reason in zip(own[silent].tolist(), voice.reasons, strict=True):
        undecided.setdefault(place, Counter())[reason or "no reason"] += 1
    found = []
    for row in by_pair(met, size, **rule._asdict()):
        place = row.first * size + row.second
        verdicts = order[bounds[place] : bounds[place + 1]]
        turned = matches.a[voice.match[verdicts]] != row.first
        found.append(
            PairOut(
                first=matches.contestants[row.first],
                second=matches.contestants[row.second],
                win_rate=rate_out(row.win_rate),
                mean_probability=_mean_probability(voice.probability[verdicts], turned),
                verdicts=len(verdicts),
                undecided=dict(undecided.get(place, {})),
                contradicted=int(contradicted[place]),
                both_bad=int(both_bad[place]),
            )
        )
    return found


def _mean_probability(probability: Floats, turned: Flags) -> float | None:
    """How probable the verdicts hold it that `first` wins, on average: AlpacaEval 2's win rate."""
    told = np.where(turned, 1 - probability, probability)
    told = told[~np.isnan(told)]
    return math.fsum(told.tolist()) / len(told) if len(told) else None


def both_orders(voice: Voice, matches: int) -> tuple[Places, Flags]:
    """The matches that a judge decided in both side orders, and whether it said the same of each."""
    said, own = voice.outcome, voice.ordered
    each = np.stack([np.bincount(voice.match[own & (said == one)], minlength=matches) for one in (0.0, 0.5, 1.0)])
    both = np.flatnonzero(each.sum(axis=0) == ORDERS)
    return both, each[:, both].max(axis=0) == ORDERS


def by_place(voice: Voice, matches: Matches) -> str | None:
    """What there is to say of a judge that names the answer in one place, whatever stands there: every match that it
    saw in both side orders is a tie, which would look like equals, so no rate of it may be shown. None of any other."""
    both, agreed = both_orders(voice, len(matches.prompt))
    if not len(both) or agreed.any():
        return None
    first = _shown_first(voice)[_shown(voice)]
    return judge_words.by_place(float(first.mean()), len(first))


def _shown(voice: Voice) -> Flags:
    """The verdicts that name an outcome and tell which side was shown first."""
    return ~np.isnan(voice.probability) & ~voice.imported


def _shown_first(voice: Voice) -> Floats:
    """The outcome of the side shown first, verdict by verdict."""
    return np.where(voice.swapped, 1 - voice.outcome, voice.outcome)


def table(judge: str, voice: Voice, matches: Matches, met: Met, rule: Rule) -> TableOut:
    """What `judge` (or people) said, whether the side shown first had an advantage, and what came to nothing."""
    half = rule._replace(ties="half")._asdict()
    prompt, told, shown = matches.prompt[voice.match], ~np.isnan(voice.probability), _shown(voice)
    both, agreed = both_orders(voice, len(matches.prompt))
    people = judge == PEOPLE
    return TableOut(
        judge=judge,
        source="person" if people else "judge",
        pairs=pairs(voice, matches, met, rule),
        shown_first=rate_out(rated(prompt[shown], _shown_first(voice)[shown], **half)),
        consistency=None
        if people or not voice.ordered.any()
        else rate_out(rated(matches.prompt[both], agreed.astype(np.float64), **half)),
        verdicts=len(voice.match),
        unreadable=sum(reason in UNREADABLE for reason in voice.reasons),
        one_sided=np.count_nonzero(np.bincount(voice.match[told & voice.ordered])) - len(both),
    )
