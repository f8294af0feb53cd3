"""Tests between two contestants, several tests at once, and what a number of prompts can show."""

import math

import numpy as np
import pytest
from scipy.stats import binomtest
from scipy.stats import permutation_test as scipy_permutation_test

from alignment.statistics.comparisons import holm, permutation_test, power, sign_test


def test_the_sign_test_counts_prompts_that_differ() -> None:
    """Nine better, two worse, three alike: the binomial test of 9 in 11."""
    first = [1.0] * 9 + [0.0] * 2 + [0.5] * 3
    second = [0.0] * 9 + [1.0] * 2 + [0.5] * 3

    assert sign_test(first, second) == (9, 2, 3, binomtest(9, 11).pvalue)
    assert sign_test([], []).p == 1.0


def test_few_differences_are_counted_out() -> None:
    """Every way to exchange is counted, as scipy does it."""
    first, second = np.array([0.9, 0.4, 0.8, 1.0, 0.5]), np.array([0.2, 0.6, 0.1, 0.3, 0.5])

    found = permutation_test(first, second)
    expected = scipy_permutation_test(
        (first, second), lambda x, y, axis: np.mean(x - y, axis=axis), permutation_type="samples", vectorized=True
    )

    assert found.exact
    assert found.p == pytest.approx(expected.pvalue)
    assert found.difference == pytest.approx(float((first - second).mean()))


def test_many_differences_are_shuffled() -> None:
    """By lot, with the seed: near the exact value, never 0, and false alarms are as rare as they should be."""
    generator = np.random.default_rng(0)
    gaps = generator.normal(0.35, 1, size=40)
    found = permutation_test(gaps, np.zeros(40), seed=3)

    assert not found.exact
    assert found == permutation_test(gaps, np.zeros(40), seed=3)
    assert permutation_test(np.ones(60), np.zeros(60), shuffles=2000).p == pytest.approx(1 / 2001)
    alarms = [permutation_test(generator.normal(size=30), np.zeros(30), shuffles=1000).p <= 0.05 for _ in range(300)]
    assert 0.01 <= float(np.mean(alarms)) <= 0.09


def test_differences_that_are_alike_turn_together() -> None:
    """Wins and losses: the exact sign test's p; of wins, ties and half wins what shuffling them one by one gives."""
    clear = np.repeat([1.0, -1.0], [225, 175])
    found = permutation_test(clear, np.zeros(400), seed=1)
    assert (found.shuffles, found.exact) == (10_000, False)
    assert found.p == pytest.approx(sign_test(clear, np.zeros(400)).p, abs=0.004)
    mixed = np.repeat([1.0, 0.5, 0.0, -0.5, -1.0], [100, 70, 30, 60, 80])
    apart = mixed + np.where(mixed, np.random.default_rng(2).normal(scale=1e-7, size=340), 0.0)  # no two are alike
    one_by_one = permutation_test(apart, np.zeros(340), seed=1)
    assert permutation_test(mixed, np.zeros(340), seed=1).p == pytest.approx(one_by_one.p, abs=0.02)


def test_nothing_differs() -> None:
    """Equal scores, and no prompts, are no evidence."""
    assert permutation_test([0.5, 1.0], [0.5, 1.0]).p == 1.0
    assert math.isnan(permutation_test([], []).difference)


def test_holm() -> None:
    """Holm's own example of rising factors; adjusted values keep the order and end at 1."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.9]) == [1.0, 1.0]
    assert holm([]) == []


def test_what_a_number_of_prompts_can_show() -> None:
    """100 prompts of wins and losses: 9.8 points each way; a difference of 14 is found four times in five."""
    found = power(100)

    assert found.half_width == pytest.approx(0.098, abs=5e-4)
    assert found.detectable / found.half_width == pytest.approx(1.43, abs=0.005)
    with pytest.raises(ValueError, match="prompt"):
        power(0)


@pytest.mark.parametrize("second", [[1.0], [math.nan, 0.0]])
def test_scores_belong_to_the_same_prompts(second: list[float]) -> None:
    """Unequal lengths and values that are none are refused."""
    with pytest.raises(ValueError, match="same order"):
        sign_test([1.0, 0.0], second)
    with pytest.raises(ValueError, match="same order"):
        permutation_test([1.0, 0.0], second)
