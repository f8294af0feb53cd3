"""Tables of pairs, and means."""

import math

import numpy as np
import pytest

from alignment.statistics import by_pair, mean
from alignment.statistics.ranking import Met


def met(*matches: tuple[int, int, int, float]) -> Met:
    """Matches of a prompt, two contestants and the first's score."""
    prompt, first, second, score = zip(*matches, strict=True)
    return Met(np.array(prompt), np.array(first), np.array(second), np.array(score))


def test_a_pair_counts_matches_in_either_order() -> None:
    """Who was written first makes no difference to who won."""
    (row,) = by_pair(met((0, 0, 1, 0.0), (1, 1, 0, 1.0)), 2)

    assert (row.first, row.second) == (1, 0)
    assert (row.win_rate.rate, row.win_rate.wins, row.win_rate.n) == (1.0, 2, 2)


def test_every_pair_has_a_row() -> None:
    """Three contestants make three rows, also for a pair that never met."""
    rows = by_pair(met((0, 0, 1, 0.5)), 3)

    assert [(row.first, row.second, row.win_rate.n) for row in rows] == [(1, 0, 1), (2, 0, 0), (2, 1, 0)]


@pytest.mark.parametrize("strange", [(0, 2), (0, 0), (-1, 0)])
def test_a_stranger_is_refused(strange: tuple[int, int]) -> None:
    """A match of somebody who is not a contestant is a mistake of the caller."""
    with pytest.raises(ValueError, match="not two of the contestants"):
        by_pair(met((0, *strange, 1.0)), 2)


def test_a_mean_has_its_interval() -> None:
    """Twenty different values: the mean lies inside its bounds, n and method beside it."""
    found = mean([str(index) for index in range(20)], [float(index) for index in range(20)], seed=2)

    assert found.mean == 9.5
    assert found.low < 9.5 < found.high
    assert (found.n, found.prompts, found.seed, found.method) == (20, 20, 2, "bca")


@pytest.mark.parametrize("values", [[], [3.0], [2.0] * 30])
def test_a_mean_without_spread_says_that_it_has_no_interval(values: list[float]) -> None:
    """No bounds are made up."""
    found = mean([str(index) for index in range(len(values))], values)

    assert math.isnan(found.low)
    assert math.isnan(found.high)
    assert found.reason


def test_a_mean_refuses_nan() -> None:
    """A missing value must be left out knowingly, not averaged."""
    with pytest.raises(ValueError, match="finite"):
        mean(["a"], [math.nan])
