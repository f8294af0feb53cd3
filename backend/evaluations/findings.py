"""What the verdicts of one judge amount to: a ranking, and how each contestant stands against the baseline."""

import uuid
from collections.abc import Sequence

import numpy as np

from alignment.statistics import guided
from alignment.statistics.comparisons import holm, permutation_test, power, sign_test
from alignment.statistics.corrected import Corrected, corrected
from alignment.statistics.intervals import cluster, numbered
from alignment.statistics.length_control import Controlled, Matches, refit
from alignment.statistics.ranking import Met, rank
from backend.evaluations import further
from backend.evaluations.columns import Floats, Places
from backend.evaluations.report_schemas import (
    AgainstOut,
    ControlledOut,
    CorrectedOut,
    NextOut,
    RankingOut,
    StandingOut,
)
from backend.evaluations.said import Rule, plain

FEWEST_RANKED = 3
EVEN = 0.5
MORE = 20  # verdicts of people whose worth is foretold
BASE = 0  # the place of the baseline

Scored = tuple[Places, Floats]
"""Prompts by number, and the score of one contestant in its match on each."""


def ranking(met: Met, contestants: Sequence[uuid.UUID], styles: Floats | None, rule: Rule) -> RankingOut | None:
    """The order of three contestants or more; where several people judged a match, their majority counts.

    Strengths are against the first contestant; where no styles are given, which is the arena's way, there is no
    baseline and 0 is the mean. None for two, whose win rate says it all, and without a match.
    """
    if len(contestants) < FEWEST_RANKED or not len(met.prompt):
        return None
    majority = met._replace(prompt=numbered(met.prompt), score=0.5 + 0.5 * np.sign(met.score - 0.5))
    anchor = BASE if styles is not None else None
    found = rank(majority, len(contestants), anchor=anchor, level=rule.level, seed=rule.seed)
    return RankingOut(
        standings=[
            StandingOut(
                contestant=contestants[one.contestant],
                **{name: plain(value) for name, value in one._asdict().items() if name != "contestant"},
            )
            for one in found.standings
        ],
        groups=[[contestants[one] for one in group] for group in found.groups],
        observed=[[plain(value) for value in row] for row in found.observed.tolist()],
        predicted=[[plain(value) for value in row] for row in found.predicted.tolist()],
        n=found.n,
        prompts=found.prompts,
        level=found.level,
        seed=found.seed,
        rounds=found.rounds,
        reason=found.reason,
        cycles=further.circles(majority, found, contestants, rule),
        styled=None if styles is None else further.at_equal_style(majority, met.prompt, contestants, styles, rule),
    )


def against(
    met: Met,
    people: Met | None,
    contestants: Sequence[uuid.UUID],
    lengths: Floats,
    rule: Rule,
    watched: Met | None = None,
) -> list[AgainstOut]:
    """How every contestant does against the first one: at equal lengths, by chance or not, and as people would say.

    `people` is what people said of the same evaluation, or None when these are people's verdicts; `watched` is what
    whoever looks after each match has seen of them, in its order, where that is not `met`. `lengths` (contestants,
    prompts) are the characters of answers, nan where they are not known.
    """
    seen = met if watched is None else watched
    places = [one for one in range(1, len(contestants)) if len(scored(met, one)[0])]
    found = [scored(met, one) for one in places]
    level = _controlled(found, places, lengths, rule)
    each = [means(own) for own in found]
    tests = [permutation_test(own, 1 - own, seed=rule.seed) for _, own in each]
    adjusted = holm([test.p for test in tests])
    strict = 1 - (1 - rule.level) / max(1, len(tests))  # as Holm's first test is
    return [
        AgainstOut(
            contestant=contestants[one],
            prompts=test.prompts,
            controlled=_controlled_out(level[place]),
            p=test.p,
            p_adjusted=adjusted[place],
            sign_p=sign_test(each[place][1], 1 - each[place][1]).p,
            difference=test.difference,
            detectable=_detectable(test.prompts, strict),
            stopping=further.stop(means(scored(seen, one))[1], strict),
            corrected=None if people is None else _corrected(each[place], means(scored(people, one)), rule),
        )
        for place, (one, test) in enumerate(zip(places, tests, strict=True))
    ]


def _detectable(prompts: int, level: float) -> float | None:
    """The difference from a half that so many prompts find; None where they find none that there can be."""
    found = power(prompts, level=level).detectable
    return found if found < EVEN else None


def scored(met: Met, one: int) -> Scored:
    """The contestant's matches against the baseline, in their order."""
    own = ((met.first == one) & (met.second == BASE)) | ((met.first == BASE) & (met.second == one))
    return met.prompt[own], np.where(met.first == one, met.score, 1 - met.score)[own]


def means(own: Scored) -> Scored:
    """Each prompt once, in the order in which they first appear, with its mean score."""
    prompts, score = own
    clusters = cluster(prompts, score)
    first = np.unique(numbered(prompts), return_index=True)[1]
    return prompts[first], clusters.sums / clusters.counts


def _controlled(found: Sequence[Scored], places: Sequence[int], lengths: Floats, rule: Rule) -> list[Controlled]:
    parts = []
    for number, (one, (prompts, score)) in enumerate(zip(places, found, strict=True)):
        own, base = lengths[one, prompts], lengths[BASE, prompts]
        known = ~np.isnan(own + base)
        parts.append((prompts[known], np.full(int(known.sum()), number), score[known], own[known], base[known]))
    none = (np.zeros(0, dtype=np.intp),) * 2 + (np.zeros(0),) * 3
    prompts, place, score, own, base = (np.concatenate(one) for one in zip(none, *parts, strict=True))
    matches = Matches(numbered(prompts), place, score, own, base)
    return refit(matches, len(places), level=rule.level, seed=rule.seed)


def _corrected(judge: Scored, people: Scored, rule: Rule) -> CorrectedOut:
    known = np.full(max(judge[0].max(initial=-1), people[0].max(initial=-1)) + 1, np.nan)
    known[people[0]] = people[1]
    said, guessed = known[judge[0]], judge[1]
    both = ~np.isnan(said)
    columns = said[both], guessed[both], guessed[~both]
    strata = guided.strata(*columns)
    way = guided.stratified if strata.filled else corrected
    found: Corrected = way(*columns, level=rule.level)
    left = np.bincount(guided.stratum(columns[2]), minlength=guided.STRATA)
    more = guided.outlook(strata, left, MORE, rule.level)
    return CorrectedOut(
        **{name: plain(value) for name, value in found._asdict().items()},
        uneven=guided.uneven(strata),
        next=more and NextOut(**more._asdict()),
    )


def _controlled_out(found: Controlled) -> ControlledOut:
    return ControlledOut(**{name: plain(value) for name, value in found._asdict().items()})
