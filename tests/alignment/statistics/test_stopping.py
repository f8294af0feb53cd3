"""Looking again and again: false alarms stay as rare as promised, and what is settled is told."""

import math

import numpy as np
import pytest

from alignment.statistics.stopping import NO_PROMPTS, bound, log_stake, stopping


def prompts(generator: np.random.Generator, size: tuple[int, int], win: float) -> np.ndarray:
    """Prompt scores, each the mean of two matches that lean the same way, some of them ties."""
    own = (generator.random(size) < win).astype(float)
    other = np.where(generator.random(size) < 0.6, own, generator.random(size) < win)
    return np.where(generator.random(size) < 0.2, 0.5, (own + other) / 2)


def test_false_alarms_are_rare_however_often_one_looks() -> None:
    """Over 1,000 evaluations of equals, watched after every prompt, under 5 % are ever called decided; by the ordinary
    interval, watched the same way, several times as many are.
    """
    scores = prompts(np.random.default_rng(0), (1000, 300), 0.5)
    alarm = math.log(2) - math.log(0.05)
    called = np.maximum(log_stake(scores, 0.5, 0.95).max(1), log_stake(1 - scores, 0.5, 0.95).max(1)) >= alarm

    n = np.arange(1, 301)
    middle = np.cumsum(scores, axis=1) / n
    error = np.sqrt(np.maximum(np.cumsum(scores**2, axis=1) / n - middle**2, 1e-9) / n)
    ordinary = (np.abs(middle - 0.5) > 1.96 * error)[:, 20:].any(axis=1)

    assert called.mean() <= 0.05
    assert ordinary.mean() > 0.2


def test_a_difference_is_found_and_the_bounds_hold() -> None:
    """A contestant that wins 70 % is called better within 300 prompts nearly always, with bounds around the truth."""
    truth = 0.2 * 0.5 + 0.8 * 0.7
    found = [stopping(one) for one in prompts(np.random.default_rng(1), (100, 300), 0.7)]

    assert np.mean([one.state == "decided" for one in found]) > 0.95
    assert np.mean([one.low <= truth <= one.high for one in found]) >= 0.95
    assert all(one.evidence >= 20 for one in found if one.low > 0.5)


def test_equals_are_told_to_be_so_and_little_data_to_be_open() -> None:
    """Thousands of prompts at even odds settle that neither is better by much; a few settle nothing, and say how many
    more would at this pace.
    """
    (even,) = prompts(np.random.default_rng(2), (1, 6000), 0.5)
    assert stopping(even).state == "equal"

    few = stopping([1.0, 1.0, 0.5, 1.0])
    assert (few.state, few.prompts) == ("open", 4)
    assert 1 < few.needed < 100
    assert math.isnan(stopping([0.0, 1.0, 0.5]).needed)
    assert stopping([]).reason == NO_PROMPTS


def test_what_came_early_does_not_settle_what_has_changed() -> None:
    """Wins first and losses later: the bounds of then leave out the rate of now, and nothing is called decided."""
    found = stopping([1.0] * 27 + [0.0] * 16 + [0.5] * 17)

    assert found.low > found.rate
    assert found.state == "open"


def test_the_bound_is_where_the_bet_stops_winning() -> None:
    """Just below the bound a bet has won enough, just above it none has; turning the sides mirrors the bounds."""
    (scores,) = prompts(np.random.default_rng(3), (1, 200), 0.6)
    low, wanted = bound(scores, 0.95), math.log(2 / 0.05)

    assert log_stake(scores, low - 1e-6, 0.95).max() >= wanted > log_stake(scores, low + 1e-6, 0.95).max()
    one, other = stopping(scores), stopping(1 - scores)
    assert (one.low, one.high) == pytest.approx((1 - other.high, 1 - other.low))


def test_what_is_no_score_is_refused() -> None:
    """Scores beyond [0, 1] would break the bets."""
    with pytest.raises(ValueError, match="lie in"):
        stopping([1.5])
