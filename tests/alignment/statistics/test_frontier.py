"""Two runs at one KL: straight lines over its square root, prompts drawn for both at once, nothing beyond."""

import math

import numpy as np
import pytest

from alignment.statistics.frontier import APART, EDGE, OUTSIDE, Curve, front, matched
from alignment.statistics.resampling import TOO_FEW

PROMPTS = 200


def curve(kl: list[float], reward: list[float], noise: float = 0.0, seed: int = 0, prompts: int = PROMPTS) -> Curve:
    """A start without KL, then places; every prompt has its own level, common to all that is drawn with the seed."""
    generator = np.random.default_rng(seed)
    level = generator.normal(size=prompts) * noise
    own = generator.normal(size=(len(kl), prompts)) * noise / 10
    return Curve(np.array(kl)[:, None] + 0 * own, np.array(reward)[:, None] + level + own)


def test_on_straight_lines_over_the_square_root() -> None:
    """At 4 nats, halfway by root between 1 and 9, a run earns the mean of its places there."""
    (found,) = matched([curve([0, 9, 1], [0.5, 0.9, 0.7]), curve([0, 16], [0.5, 0.9])], at=4)
    assert (found.least, found.most) == (0, 9)
    assert found.first_reward == pytest.approx(0.8)
    assert found.second_reward == pytest.approx(0.7)
    assert found.difference == pytest.approx(0.1)
    (middle,) = matched([curve([0, 9], [0.5, 0.9]), curve([0, 16], [0.5, 0.9])])
    assert middle.at == 4.5


def test_intervals_hold_the_difference_and_prompts_cancel() -> None:
    """What a prompt does to both runs is in neither's favour: the interval is that of the difference."""
    held = 0
    for seed in range(60):
        one = curve([0, 4, 9], [0.5, 0.7, 0.8], 1.0, seed)
        other = curve([0, 4, 9], [0.5, 0.65, 0.7], 1.0, seed)
        other = Curve(other.kl, other.reward + np.random.default_rng(seed + 1).normal(size=other.reward.shape) / 10)
        (found,) = matched([one, other], at=4, seed=seed)
        assert found.low is not None
        assert found.high is not None
        assert found.high - found.low < 0.1  # one rate's own would be about 0.28
        held += found.low <= 0.05 <= found.high
    assert held >= 51


def test_nothing_is_read_beyond_what_both_reach() -> None:
    """Apart, beyond, at an edge that moves with the prompts drawn, and with few prompts: a sentence, no interval."""
    near, far = curve([0, 2], [0.5, 0.6]), curve([3, 8], [0.7, 0.9])
    (apart,) = matched([near, far])
    assert (apart.reason, apart.difference) == (APART, None)
    (beyond,) = matched([near, curve([0, 8], [0.5, 0.9])], at=2.5)
    assert (beyond.reason, beyond.most, beyond.difference) == (OUTSIDE, 2, None)
    wide = Curve(np.array([np.zeros(PROMPTS), np.random.default_rng(0).exponential(size=PROMPTS)]), near.reward)
    (edge,) = matched([wide, curve([0, 8], [0.5, 0.9])], at=float(wide.kl[1].mean()) * 0.999)
    assert (edge.reason, edge.low) == (EDGE, None)
    assert edge.difference is not None
    (few,) = matched([curve([0, 2], [0.5, 0.6], 1.0, prompts=9), curve([0, 2], [0.5, 0.6], 1.0, 1, 9)])
    assert (few.reason, few.prompts) == (TOO_FEW, 9)
    (alone,) = matched([Curve(np.full((1, PROMPTS), 2.0), np.ones((1, PROMPTS))), near])
    assert alone.reason == APART
    assert matched([near]) == []


def test_prompts_that_were_not_read_or_judged_are_left_out() -> None:
    """A place's KL is that of the prompts read, its reward that of the prompts judged."""
    one = curve([0, 4], [0.5, 0.9], 0.1)
    one.kl[:, 50:] = math.nan
    one.reward[:, :20] = math.nan
    (found,) = matched([one, curve([0, 4], [0.5, 0.9], 0.1, 1)], at=4)
    assert (found.prompts, found.rounds) == (50, 1000)
    assert found.first_reward == pytest.approx(np.nanmean(one.reward[1]))
    empty = Curve(np.full((2, PROMPTS), math.nan), np.ones((2, PROMPTS)))
    assert matched([empty, one])[0].reason == APART


def test_the_front() -> None:
    """Less KL and more reward; of equals both stand."""
    assert front([(0, 0.5), (2, 0.7), (3, 0.6), (3, 0.9), (3, 0.9)]) == [True, True, False, True, True]
