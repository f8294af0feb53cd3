"""How much reward a run buys with how much KL, and two runs compared at one KL that both reach.

Methods that move a model unequally far cannot be compared by reward alone: reward grows about with the square root of
the KL before it turns (Gao, Schulman and Hilton 2023, arXiv 2210.10760). So a run's places are joined by straight lines
over the square root of the KL, in its order, and nothing is read beyond the least and the furthest of them.
"""

import math
from collections.abc import Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from alignment.statistics.resampling import UNSTABLE, resampled_sums, spread

Floats = NDArray[np.float64]
APART = "They reach no common KL, and nothing is read beyond what either reaches."
OUTSIDE = "Not both reach this KL, and nothing is read beyond what either reaches."
EDGE = "In many of the samples drawn not both reach this KL; a smaller one has an interval."


class Curve(NamedTuple):
    """Places of a run, (C, P) by prompt: the KL of its answers and their reward, nan where there is none."""

    kl: Floats
    reward: Floats


class Matched(NamedTuple):
    """Two runs at one KL: what both earn there, and the difference with its interval over prompts.

    `least` and `most` are the KL between which both were seen. Where there is no number, `reason` says why.
    """

    first: int
    second: int
    prompts: int
    rounds: int
    level: float
    seed: int
    least: float | None = None
    most: float | None = None
    at: float | None = None
    first_reward: float | None = None
    second_reward: float | None = None
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    reason: str | None = None


def matched(curves: Sequence[Curve], *, at: float | None = None, level: float = 0.95, seed: int = 0) -> list[Matched]:
    """Every two runs, at the KL `at`, else in the middle of what both reach.

    Prompts are drawn anew for all places of all runs at once, with their KL and their reward, so that what a prompt
    does to both runs cancels.
    """
    if len(curves) < 2:
        return []
    sums = np.concatenate([np.concatenate(_parts(one)) for one in curves]).T
    whole = sums.sum(axis=0)[None]
    drawn = resampled_sums(sums, np.ones(len(sums), dtype=np.int64), seed)
    cuts = np.cumsum([4 * len(one.kl) for one in curves])[:-1]
    own = [_places(part) for part in np.split(whole, cuts, axis=1)]
    again = [_places(part) for part in np.split(drawn, cuts, axis=1)]
    counts = [min(int(np.isfinite(part).sum(axis=1).min(initial=sums.shape[0])) for part in one) for one in curves]
    found = []
    for first, second in combinations(range(len(curves)), 2):
        none = Matched(first, second, min(counts[first], counts[second]), len(drawn), level, seed)
        found.append(_pair(none, (own[first], own[second]), (again[first], again[second]), at))
    return found


def front(points: Sequence[tuple[float, float]]) -> list[bool]:
    """Of (KL, reward) which no other one reaches with as little KL and as much reward."""
    return [
        not any(kl <= own and earned >= reward and (kl < own or earned > reward) for kl, earned in points)
        for own, reward in points
    ]


Places = tuple[Floats, Floats]  # of each round the KL (R, C) in ascending order, and the reward there


def _pair(none: Matched, own: tuple[Places, Places], drawn: tuple[Places, Places], at: float | None) -> Matched:
    least, most = max(float(kl[0, 0]) for kl, _ in own), min(float(kl[0, -1]) for kl, _ in own)
    if not least < most:  # nor where one is not known
        return none._replace(reason=APART)
    where = (least + most) / 2 if at is None else at
    none = none._replace(least=least, most=most, at=where)
    if not least <= where <= most:
        return none._replace(reason=OUTSIDE)
    first, second = (float(_read(places, where)[0]) for places in own)
    differences = _read(drawn[0], where) - _read(drawn[1], where)
    bounds = spread(differences, none.prompts, none.level)
    return none._replace(
        first_reward=first,
        second_reward=second,
        difference=first - second,
        low=bounds.low,
        high=bounds.high,
        reason=EDGE if bounds.reason == UNSTABLE else bounds.reason,
    )


def _parts(curve: Curve) -> tuple[Floats, Floats, Floats, Floats]:
    """What each prompt adds to the sums and the counts of both numbers, (C, P) each."""
    kl, reward = (np.isfinite(part).astype(np.float64) for part in curve)
    return np.nan_to_num(curve.kl), kl, np.nan_to_num(curve.reward), reward


def _places(sums: Floats) -> Places:
    """The means of each round's places, by their KL."""
    kl, counts, reward, rewarded = np.split(sums, 4, axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        means = np.maximum(kl / counts, 0), reward / rewarded
    order = np.argsort(means[0], axis=1, kind="stable")
    return np.take_along_axis(means[0], order, axis=1), np.take_along_axis(means[1], order, axis=1)


def _read(places: Places, at: float) -> Floats:
    """The reward at a KL in each round, on straight lines over the square root of the KL; nan beyond the places."""
    return np.array(
        [
            np.interp(math.sqrt(at), np.sqrt(kl), reward, left=math.nan, right=math.nan)
            for kl, reward in zip(*places, strict=True)
        ]
    )
