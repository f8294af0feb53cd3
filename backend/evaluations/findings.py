"""What the verdicts of one judge amount to: a ranking, and how each contestant stands against the baseline."""

import math
import uuid
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from alignment.statistics import guided
from alignment.statistics.comparisons import holm, permutation_test, power, sign_test
from alignment.statistics.corrected import Corrected, corrected
from alignment.statistics.length_control import Controlled, Matches, refit
from alignment.statistics.ranking import Met, rank
from backend.evaluations import further
from backend.evaluations.report_schemas import (
    AgainstOut,
    ControlledOut,
    CorrectedOut,
    NextOut,
    RankingOut,
    StandingOut,
)
from backend.evaluations.said import Rule, Said, plain, scores

Lengths = Mapping[uuid.UUID, Mapping[str, int]]
"""Characters of each contestant's answer by the hash of its prompt."""
FEWEST_RANKED = 3
EVEN = 0.5
MORE = 20  # verdicts of people whose worth is foretold


class Decided(NamedTuple):
    """A match that the judge decided; `score` is `a`'s."""

    prompt: str
    a: uuid.UUID
    b: uuid.UUID
    score: float


def decided(said: Sequence[Said]) -> list[Decided]:
    """Every match with an outcome, once, in the order in which they were decided: by their last verdicts."""
    outcomes, last = scores(said), {verdict.match_id: place for place, verdict in enumerate(said)}
    known = [said[last[match]] for match in sorted(outcomes, key=lambda match: last[match])]
    return [Decided(one.prompt_hash, one.a, one.b, outcomes[one.match_id]) for one in known]


def first_votes(said: Sequence[Said]) -> list[Decided]:
    """Every match by the first that a person said of it: later votes on the same one would change what has been looked
    at, and bounds that hold however often one looks hold for numbers that stand."""
    found: dict[uuid.UUID, Said] = {}
    for verdict in said:
        if verdict.outcome is not None:
            found.setdefault(verdict.match_id, verdict)
    return decided(list(found.values()))


def ranking(
    matches: Sequence[Decided], contestants: Sequence[uuid.UUID], styles: further.Styles | None, rule: Rule
) -> RankingOut | None:
    """The order of three contestants or more; where several people judged a match, their majority counts.

    Strengths are against the first contestant; where no styles are given, which is the arena's way, there is no
    baseline and 0 is the mean. None for two, whose win rate says it all, and without a match.
    """
    if len(contestants) < FEWEST_RANKED or not matches:
        return None
    place = {one: index for index, one in enumerate(contestants)}
    hashes = [match.prompt for match in matches]
    prompts = _places(hashes)
    met = Met(
        prompts,
        np.array([place[match.a] for match in matches]),
        np.array([place[match.b] for match in matches]),
        np.array([0.5 + 0.5 * float(np.sign(match.score - 0.5)) for match in matches]),
    )
    anchor = 0 if styles is not None else None
    found = rank(met, len(contestants), anchor=anchor, level=rule.level, seed=rule.seed)
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
        cycles=further.circles(met, found, contestants, rule),
        styled=further.at_equal_style(met, hashes, contestants, styles, rule) if styles is not None else None,
    )


def against(
    matches: Sequence[Decided],
    people: Sequence[Decided] | None,
    contestants: Sequence[uuid.UUID],
    lengths: Lengths,
    rule: Rule,
    watched: Sequence[Decided] | None = None,
) -> list[AgainstOut]:
    """How every contestant does against the first one: at equal lengths, by chance or not, and as people would say.

    `people` is what people said of the same evaluation, or None when these are people's verdicts; `watched` is what
    whoever looks after each match has seen of them, in its order, where that is not `matches`.
    """
    seen = matches if watched is None else watched
    base = contestants[0]
    own = [scored(matches, one, base) for one in contestants[1:]]
    told = [one for one, found in zip(contestants[1:], own, strict=True) if found]
    found = [one for one in own if one]
    level = _controlled(found, told, base, lengths, rule)
    tests = [permutation_test(*_by_prompt(one), seed=rule.seed) for one in found]
    adjusted = holm([test.p for test in tests])
    strict = 1 - (1 - rule.level) / max(1, len(tests))  # as Holm's first test is
    return [
        AgainstOut(
            contestant=one,
            prompts=test.prompts,
            controlled=_controlled_out(level[place]),
            p=test.p,
            p_adjusted=adjusted[place],
            sign_p=sign_test(*_by_prompt(found[place])).p,
            difference=test.difference,
            detectable=_detectable(test.prompts, strict),
            stopping=further.stop(list(_means(scored(seen, one, base)).values()), strict),
            corrected=None if people is None else _corrected(found[place], scored(people, one, base), rule),
        )
        for place, (one, test) in enumerate(zip(told, tests, strict=True))
    ]


def _detectable(prompts: int, level: float) -> float | None:
    """The difference from a half that so many prompts find; None where they find none that there can be."""
    found = power(prompts, level=level).detectable
    return found if found < EVEN else None


def scored(matches: Sequence[Decided], one: uuid.UUID, base: uuid.UUID) -> list[tuple[str, float]]:
    """Prompt and score of the contestant in its matches against the baseline."""
    return [
        (match.prompt, match.score if match.a == one else 1 - match.score)
        for match in matches
        if {match.a, match.b} == {one, base}
    ]


def _by_prompt(found: Sequence[tuple[str, float]]) -> tuple[list[float], list[float]]:
    """Each prompt's mean score, and the baseline's."""
    means = list(_means(found).values())
    return means, [1 - one for one in means]


def _means(own: Sequence[tuple[str, float]]) -> dict[str, float]:
    found: dict[str, list[float]] = defaultdict(list)
    for prompt, score in own:
        found[prompt].append(score)
    return {prompt: math.fsum(of) / len(of) for prompt, of in found.items()}


def _controlled(
    found: Sequence[Sequence[tuple[str, float]]],
    contestants: Sequence[uuid.UUID],
    base: uuid.UUID,
    lengths: Lengths,
    rule: Rule,
) -> list[Controlled]:
    rows = [
        (prompt, place, score, lengths[one][prompt], lengths[base][prompt])
        for place, (one, own) in enumerate(zip(contestants, found, strict=True))
        for prompt, score in own
        if prompt in lengths.get(one, {}) and prompt in lengths.get(base, {})
    ]
    prompts, places, score, length, base_length = zip(*rows, strict=True) if rows else ((),) * 5
    matches = Matches(
        _places(prompts),
        np.array(places, dtype=np.intp),
        np.array(score, dtype=np.float64),
        np.array(length, dtype=np.float64),
        np.array(base_length, dtype=np.float64),
    )
    return refit(matches, len(contestants), level=rule.level, seed=rule.seed)


def _places(prompts: Sequence[str]) -> "np.ndarray[tuple[int], np.dtype[np.intp]]":
    order = {prompt: place for place, prompt in enumerate(dict.fromkeys(prompts))}
    return np.array([order[prompt] for prompt in prompts], dtype=np.intp)


def _corrected(judge: Sequence[tuple[str, float]], people: Sequence[tuple[str, float]], rule: Rule) -> CorrectedOut:
    said, guessed = _means(people), _means(judge)
    both = [prompt for prompt in guessed if prompt in said]
    alone = [score for prompt, score in guessed.items() if prompt not in said]
    columns = [said[one] for one in both], [guessed[one] for one in both], alone
    known = guided.strata(*columns)
    way = guided.stratified if known.filled else corrected
    found: Corrected = way(*columns, level=rule.level)
    left = np.bincount(guided.stratum(alone), minlength=guided.STRATA)
    more = guided.outlook(known, left, MORE, rule.level)
    return CorrectedOut(
        **{name: plain(value) for name, value in found._asdict().items()},
        uneven=guided.uneven(known),
        next=more and NextOut(**more._asdict()),
    )


def _controlled_out(found: Controlled) -> ControlledOut:
    return ControlledOut(**{name: plain(value) for name, value in found._asdict().items()})
