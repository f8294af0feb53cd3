"""Numbers about each annotator: Wilson intervals, sides, agreement with the others, pace."""

import math

import numpy as np
import pytest
from scipy.stats import binomtest

from alignment.statistics.annotators import NOTHING, UNKNOWN, against_half, medians, rates, too_fast, with_the_others
from tests.alignment.statistics.tables import observers

FLAGS = np.array([1, 1, 0, 1, -1, 0, 1, 1, 1], dtype=np.int8)
WHO = np.array([0, 0, 0, 0, 0, 2, 2, 2, 2])


def test_rates_are_wilsons() -> None:
    """Each annotator's share has the interval that scipy gives; what is unknown is not counted."""
    first, nobody, third = rates(FLAGS, WHO, 3, level=0.9)

    known = binomtest(3, 4).proportion_ci(0.9, method="wilson")
    assert (first.value, first.hits, first.n, first.level, first.method) == (0.75, 3, 4, 0.9, "wilson")
    assert first.low == pytest.approx(known.low)
    assert first.high == pytest.approx(known.high)
    assert (third.hits, third.n) == (3, 4)
    assert (nobody.value, nobody.low, nobody.n, nobody.reason) == (None, None, 0, NOTHING)


def test_comparisons_of_one_ranking_are_one_trial() -> None:
    """Two hundred comparisons on two items are no more certain than two trials."""
    flags = np.ones(200, dtype=np.int8)
    (one,) = rates(flags, np.zeros(200, dtype=np.int64), 1, item=np.arange(200) % 2)

    assert (one.value, one.n) == (1, 200)
    assert one.low == pytest.approx(binomtest(2, 2).proportion_ci(method="wilson").low)


@pytest.mark.parametrize(("left", "n"), [(0, 12), (3, 20), (10, 20), (17, 20), (7, 7)])
def test_side_bias_is_the_binomial_test(left: int, n: int) -> None:
    """The p-value of sides is scipy's exact two-sided one."""
    flags = np.array([1] * left + [0] * (n - left) + [UNKNOWN] * 5, dtype=np.int8)
    (one,) = against_half(flags, np.zeros(n + 5, dtype=np.int64), 1)

    assert one.rate.value == left / n
    assert one.p_value == pytest.approx(binomtest(left, n).pvalue)


def test_no_sides_no_test() -> None:
    """Who judged ties only has no p-value."""
    (one,) = against_half(np.full(4, UNKNOWN, dtype=np.int8), np.zeros(4, dtype=np.int64), 1)

    assert (one.p_value, one.rate.value) == (None, None)


def test_the_others_are_those_without_oneself() -> None:
    """One's own vote makes no majority; alone, and among others who are divided, there is none."""
    three = observers(["aab.", "aba.", "abcc"], "abc")

    found = with_the_others(three)

    said = {(int(p), int(u)): int(f) for p, u, f in zip(three.annotator, three.unit, found, strict=True)}
    assert [said[person, 0] for person in range(3)] == [1, 1, 1]
    assert [said[person, 1] for person in range(3)] == [0, UNKNOWN, UNKNOWN]
    assert [said[person, 2] for person in range(3)] == [UNKNOWN] * 3
    assert said[2, 3] == UNKNOWN


def test_too_fast_goes_by_the_length() -> None:
    """1,000 characters cannot be read in 9 seconds, 10 do; under a second nothing can; no time, no verdict."""
    seconds = np.array([9.0, 10.0, 0.9, 1.0, math.nan])
    characters = np.array([1000.0, 1000.0, 3.0, 3.0, 1000.0])

    assert too_fast(seconds, characters).tolist() == [1, 0, 1, 0, UNKNOWN]


def test_medians_leave_out_what_is_missing() -> None:
    """Of each annotator the middle of what there is; None where there is nothing."""
    values = np.array([3.0, 1.0, math.nan, 2.0, 4.0, math.nan])

    assert medians(values, np.array([0, 0, 0, 0, 2, 1]), 4) == [2.0, None, 4.0, None]
