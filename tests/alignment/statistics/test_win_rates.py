"""Win rates: known values, ties, what happens without data, and whether intervals hold what they promise."""

import math

import numpy as np
import pytest
from scipy.stats import binomtest

from alignment.statistics import Outcome, WinRate, win_rate
from alignment.statistics.intervals import Clusters, resampled
from alignment.statistics.win_rates import NO_MATCHES, ONLY_TIES


def outcomes(*scores: float) -> list[Outcome]:
    """One match a prompt."""
    return [Outcome(f"prompt {index}", score) for index, score in enumerate(scores)]


def test_no_matches_give_nan_and_the_reason() -> None:
    """Nothing decided is not "50 %": the rate is nan and says why."""
    found = win_rate([])

    assert math.isnan(found.rate)
    assert math.isnan(found.low)
    assert math.isnan(found.high)
    assert (found.n, found.prompts, found.method, found.reason) == (0, 0, "none", NO_MATCHES)


def test_clear_wins_and_losses_give_wilson() -> None:
    """7 of 10 clear wins on ten prompts have the interval that scipy gives."""
    found = win_rate(outcomes(*[1.0] * 7, *[0.0] * 3))

    expected = binomtest(7, 10).proportion_ci(0.95, method="wilson")
    assert found == WinRate(0.7, expected.low, expected.high, 10, 10, 7, 0, 3, "half", 0.95, 0, "wilson")


@pytest.mark.parametrize(("ties", "rate", "prompts"), [("half", 0.6, 10), ("drop", 2 / 3, 6), ("shown", 0.4, 10)])
def test_the_tie_rule_decides_what_a_tie_is_worth(ties: str, rate: float, prompts: int) -> None:
    """4 wins, 4 ties, 2 losses: half a win each, left out, or not won; the counts never change."""
    found = win_rate(outcomes(*[1.0] * 4, *[0.5] * 4, *[0.0] * 2), ties=ties)  # type: ignore[arg-type]

    assert found.rate == pytest.approx(rate)
    assert found.low < rate < found.high
    assert (found.n, found.prompts, found.wins, found.ties, found.losses) == (10, prompts, 4, 4, 2)


def test_ties_alone_cannot_be_dropped_into_a_rate() -> None:
    """When every match is a tie, "drop" leaves nothing and says so; "half" is an honest, wide 50 %."""
    tied = outcomes(*[0.5] * 20)

    assert win_rate(tied, ties="drop").reason == ONLY_TIES
    found = win_rate(tied)
    assert (found.rate, found.method) == (0.5, "wilson_prompts")
    assert found.low < 0.3
    assert found.high > 0.7


def test_several_matches_on_a_prompt_are_not_independent() -> None:
    """Ten copies of every match leave rate and width alone; n grows, prompts do not."""
    once = outcomes(*[1.0, 0.0, 1.0, 1.0, 0.5] * 6)
    found, copied = win_rate(once), win_rate(once * 10)

    assert copied.rate == pytest.approx(found.rate)
    assert (copied.n, copied.prompts) == (300, 30)
    assert copied.high - copied.low == pytest.approx(found.high - found.low, rel=0.05)


def test_swapping_the_sides_mirrors_the_interval() -> None:
    """The other side's win rate is one minus this one's, up to resampling noise."""
    scores = [1.0] * 14 + [0.5] * 6 + [0.0] * 5
    found, mirrored = win_rate(outcomes(*scores)), win_rate(outcomes(*[1 - score for score in scores]))

    assert mirrored.rate == pytest.approx(1 - found.rate)
    assert mirrored.low == pytest.approx(1 - found.high, abs=0.02)


def test_the_same_seed_gives_the_same_interval() -> None:
    """An interval can be computed again from what stands beside it."""
    scores = outcomes(*[1.0] * 9 + [0.5] * 5 + [0.0] * 6)

    assert win_rate(scores, seed=3) == win_rate(scores, seed=3)
    assert win_rate(scores, seed=3).seed == 3


@pytest.mark.parametrize("count", [1, 2, 9])
def test_few_prompts_give_a_wide_interval(count: int) -> None:
    """With a handful of prompts the interval does not pretend to know."""
    found = win_rate(outcomes(*[1.0] * (count - 1), 0.5))

    assert found.method == "wilson_prompts"
    assert found.high - found.low > 0.25


@pytest.mark.parametrize(
    "wrong", [{"ties": "maybe"}, {"level": 0.0}, {"level": 1.0}, {"outcomes": [Outcome("p", 1.2)]}]
)
def test_nonsense_is_refused(wrong: dict[str, object]) -> None:
    """An unknown tie rule, level or score is an error, never a default."""
    with pytest.raises(ValueError, match="must"):
        win_rate(**({"outcomes": outcomes(1.0)} | wrong))  # type: ignore[arg-type]


@pytest.mark.parametrize(("prompts", "win"), [(12, 0.7), (40, 0.85)])
def test_intervals_cover_the_truth(prompts: int, win: float) -> None:
    """Over 1,000 evaluations with four matches a prompt, 95 % intervals hold the truth 93-97 %; taking matches for
    independent ones they visibly do not.
    """
    generator = np.random.default_rng(1)
    held, naive = 0, 0
    for trial in range(1000):
        own = generator.random(prompts) < win
        scores = np.where(generator.random((4, prompts)) < 0.6, own, generator.random((4, prompts)) < win).astype(float)
        scores[generator.random((4, prompts)) < 0.15] = 0.5
        truth = 0.15 * 0.5 + 0.85 * win
        found = resampled(Clusters(scores.sum(0), np.full(prompts, 4.0)), 0.95, trial)
        assert found is not None
        held += found.low <= truth <= found.high
        naive += abs(scores.mean() - truth) <= 1.96 * scores.std(ddof=1) / scores.size**0.5

    assert 0.93 <= held / 1000 <= 0.97
    assert naive / 1000 < 0.88
