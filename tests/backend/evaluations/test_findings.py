"""What verdicts amount to: rankings of three, equal lengths, chance or not, and what people would have said."""

import uuid
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from alignment.statistics.features import STYLES
from alignment.statistics.ranking import Met
from backend.evaluations import columns
from backend.evaluations.findings import against, ranking
from backend.evaluations.further import UNKNOWN
from backend.evaluations.models import Source
from backend.evaluations.said import Rule, Said
from backend.evaluations.tables import decided, first_votes

BASE, GOOD, WEAK = IDS = [uuid.UUID(int=number) for number in (1, 2, 3)]
PROMPTS = 300
Decided = tuple[int, uuid.UUID, uuid.UUID, float]
"""A match: its prompt, its contestants, and the first one's score."""


def met(found: Sequence[Decided]) -> Met:
    """As columns, where contestants stand in the order of IDS."""
    a = np.array([IDS.index(one[1]) for one in found], dtype=np.intp)
    b = np.array([IDS.index(one[2]) for one in found], dtype=np.intp)
    prompt = np.array([one[0] for one in found], dtype=np.intp)
    return Met(prompt, a, b, np.array([one[3] for one in found], dtype=np.float64))


def unknown(*more: int) -> "np.ndarray[Any, np.dtype[np.float64]]":
    """Of no contestant's answer anything is known."""
    return np.full((len(IDS), PROMPTS, *more), np.nan)


def matches(better: uuid.UUID, worse: uuid.UUID, prompts: int, chance: float, seed: int) -> list[Decided]:
    """Matches in which the better one wins with this chance, either of them first."""
    generator = np.random.default_rng(seed)
    found = []
    for prompt in range(prompts):
        won = float(generator.random() < chance)
        pair = (better, worse, won) if prompt % 2 else (worse, better, 1 - won)
        found.append((prompt, *pair))
    return found


ALL = matches(GOOD, BASE, 80, 0.8, 1) + matches(BASE, WEAK, 80, 0.7, 2) + matches(GOOD, WEAK, 80, 0.9, 3)
LENGTHS = np.tile(100.0 + (37 * np.arange(PROMPTS)) % 11, (3, 1))


def test_three_are_ranked_with_what_ranks_are_possible() -> None:
    """The strongest comes first with an interval, and observed and predicted rates stand beside each other."""
    found = ranking(met(ALL), IDS, unknown(4), Rule())

    assert found is not None
    assert [one.contestant for one in found.standings] == [GOOD, BASE, WEAK]
    assert [one.rank for one in found.standings] == [1, 2, 3]
    good, base, weak = found.standings
    assert (base.strength, base.low, base.high) == (0, 0, 0)
    assert good.low is not None
    assert good.high is not None
    assert 0 < good.low < good.strength < good.high
    assert weak.high is not None
    assert weak.high < 0
    assert found.observed[0][0] is None
    assert found.predicted[1][0] == pytest.approx(found.observed[1][0], abs=0.1)
    assert (found.n, found.prompts) == (240, 80)


def test_two_need_no_ranking_and_strangers_get_none() -> None:
    """Two contestants have their win rate; who never met the others is told to be apart, without a number."""
    assert ranking(met(matches(GOOD, BASE, 20, 0.8, 1)), [BASE, GOOD], unknown(4), Rule()) is None
    assert ranking(met([]), IDS, unknown(4), Rule()) is None

    apart = ranking(met(matches(GOOD, BASE, 20, 0.6, 1)), IDS, unknown(4), Rule())

    assert apart is not None
    assert apart.standings == []
    assert sorted(map(len, apart.groups)) == [1, 2]
    assert apart.reason is not None


def test_a_ranking_counts_the_majority_of_people() -> None:
    """Two of three votes are a win; as many for each side are a tie."""
    three = [(n, *pair, 2 / 3) for n in range(12) for pair in ((BASE, GOOD), (GOOD, WEAK), (WEAK, BASE))]
    found = ranking(met(three), IDS, unknown(4), Rule())

    assert found is not None
    assert found.observed[0][1] == 1.0
    assert all(one.strength == pytest.approx(0, abs=1e-9) for one in found.standings)


def test_against_the_baseline() -> None:
    """Each contestant has its tests, adjusted for there being two, and its rate at equal lengths: here the raw one."""
    good, weak = against(met(ALL), None, IDS, LENGTHS, Rule())

    assert (good.contestant, weak.contestant) == (GOOD, WEAK)
    assert good.p <= good.p_adjusted < 0.01
    assert good.sign_p < 0.01
    assert good.controlled.rate == pytest.approx(good.controlled.raw, abs=0.01)
    assert weak.controlled.rate is not None
    assert weak.controlled.rate < 0.5
    assert good.difference > 0.4 > 0 > weak.difference
    assert good.detectable == pytest.approx((2.2414 + 0.8416) * 0.5 / 80**0.5, abs=1e-3)  # each at 97.5 %
    assert good.corrected is None


def test_who_never_met_the_baseline_has_no_row() -> None:
    """Only contestants with decided matches against it are told about."""
    assert [one.contestant for one in against(met(matches(GOOD, BASE, 20, 0.8, 1)), None, IDS, unknown(), Rule())] == [
        GOOD
    ]
    assert against(met([]), None, [BASE, GOOD], unknown(), Rule()) == []


def test_people_correct_a_judge() -> None:
    """The judge favors the contestant; people's verdicts on a third of the prompts take the rate back."""
    generator = np.random.default_rng(0)
    judge, people = [], []
    for prompt in range(300):
        truth = float(generator.random() < 0.5)
        said = 1.0 if generator.random() < 0.3 else truth
        judge.append((prompt, GOOD, BASE, said))
        if prompt % 3 == 0:
            people.append((prompt, BASE, GOOD, 1 - truth))

    (found,) = against(met(judge), met(people), [BASE, GOOD], unknown(), Rule())

    assert found.corrected is not None
    assert (found.corrected.people, found.corrected.judged) == (100, 200)
    assert found.corrected.judge_alone is not None
    assert found.corrected.judge_alone > 0.58
    assert found.corrected.low is not None
    assert found.corrected.high is not None
    assert found.corrected.low < 0.5 < found.corrected.high
    assert found.corrected.effective is not None
    assert found.corrected.effective > 100


def test_too_few_people_are_told() -> None:
    """With people's verdicts on three prompts the correction says what it lacks."""
    judge = matches(GOOD, BASE, 30, 0.8, 1)

    (found,) = against(met(judge), met(judge[:3]), [BASE, GOOD], unknown(), Rule())

    assert found.corrected is not None
    assert found.corrected.rate is None
    assert "20" in str(found.corrected.reason)


def test_lengths_that_are_missing_leave_no_rate_at_equal_lengths() -> None:
    """Without the lengths of answers the controlled rate has a reason and no number."""
    (found,) = against(met(matches(GOOD, BASE, 30, 0.8, 1)), None, [BASE, GOOD], unknown(), Rule())

    assert found.controlled.rate is None
    assert "lengths are known" in str(found.controlled.reason)


def test_one_prompt_shows_nothing() -> None:
    """With one prompt no difference can be found, and none is named."""
    (found,) = against(met(matches(GOOD, BASE, 1, 1.0, 1)), None, [BASE, GOOD], unknown(), Rule())

    assert found.detectable is None
    assert found.p == 1.0


def test_circles_and_style_stand_beside_the_ranking() -> None:
    """Three who beat each other in a circle are told; what only length decided is none at equal style."""
    circle = matches(GOOD, BASE, 60, 0.9, 1) + matches(BASE, WEAK, 60, 0.9, 2) + matches(WEAK, GOOD, 60, 0.9, 3)
    found = ranking(met(circle), IDS, unknown(4), Rule())

    assert found is not None
    assert found.cycles is not None
    assert (found.cycles.share, found.cycles.low, found.cycles.triples) == (1, 1, 1)
    (one,) = found.cycles.circles
    assert set(one.contestants) == {BASE, GOOD, WEAK}
    assert one.p < 0.01
    assert found.styled is not None
    assert found.styled.reason == UNKNOWN

    generator = np.random.default_rng(0)
    length = {BASE: 1.0, GOOD: 1.6, WEAK: 0.9}
    styles = unknown(len(STYLES))
    for place, mean in enumerate(length.values()):
        styles[place, :80] = [[mean * np.exp(generator.normal(0, 0.5)), 0, 0, 0] for _ in range(80)]
    wordy = [
        (
            one,
            a,
            b,
            float(styles[IDS.index(a), one, 0] * np.exp(generator.logistic(0, 0.3)) > styles[IDS.index(b), one, 0]),
        )
        for one in range(80)
        for a, b in ((BASE, GOOD), (GOOD, WEAK), (WEAK, BASE))
    ]
    by_length = ranking(met(wordy), IDS, styles, Rule())

    assert by_length is not None
    assert by_length.standings[0].contestant == GOOD
    assert by_length.standings[0].low is not None
    assert by_length.standings[0].low > 0
    assert by_length.styled is not None
    good = next(one for one in by_length.styled.standings if one.contestant == GOOD)
    assert good.strength < 0.7 * by_length.standings[0].strength
    assert (good.best, good.worst) != (1, 1)
    effects = {one.name: one for one in by_length.styled.effects}
    assert effects["length"].low is not None
    assert effects["length"].low > 0
    assert effects["bold"].value is None


def test_when_to_stop() -> None:
    """Eighty prompts settle what wins 80 %, and nothing about what wins half."""
    good, _ = against(met(ALL), None, IDS, LENGTHS, Rule())
    (even,) = against(met(matches(GOOD, BASE, 40, 0.5, 4)), None, [BASE, GOOD], LENGTHS, Rule())

    assert good.stopping is not None
    assert good.stopping.state == "decided"
    assert even.stopping is not None
    assert even.stopping.state == "open"


def said(match: int, probability: float | None, judge: str | None = None, *, swapped: bool = False) -> Said:
    source = Source.judge if judge else Source.person
    return Said(uuid.UUID(int=match), f"prompt {match}", GOOD, BASE, source, judge, swapped, probability, None, None)


def test_who_looks_after_each_vote_sees_what_stands() -> None:
    """Of people's votes the first of each match is watched, however others vote later; a judge's match is decided by
    its second side order, not where its first came."""
    votes = [said(1, None), said(1, 1.0), said(2, 0.0), said(1, 0.0), said(1, 0.0)]
    orders = [said(1, 0.9, "toy"), said(2, 0.9, "toy"), said(2, 0.9, "toy", swapped=True)]
    orders.append(said(1, 0.1, "toy", swapped=True))

    assert told(first_votes, votes) == [("prompt 1", 1.0), ("prompt 2", 0.0)]
    assert told(decided, orders) == [("prompt 2", 1.0), ("prompt 1", 0.5)]


def told(read: Callable[[columns.Voice, columns.Matches], Met], verdicts: list[Said]) -> list[tuple[str, float]]:
    found, voice = columns.of(verdicts, IDS)
    seen = read(voice, found)
    return [(found.prompts[one], score) for one, score in zip(seen.prompt, seen.score.tolist(), strict=True)]
