"""Whether two contestants differ at all, on prompts that both answered; and what a number of prompts can show."""

import math
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest, norm

Floats = NDArray[np.float64]
Scores = Sequence[float] | Floats
SHUFFLES: Final = 10_000
FEWEST_SHUFFLES: Final = 1000
SIGNS: Final = 50_000_000
"""The most that are drawn: tens of thousands of differences, no two of them alike, are shuffled less often, never less
than a thousand times."""
ALIKE: Final = 32
"""With so many differences of a size on average, drawing how many of them turn is quicker than turning each."""
AT_ONCE: Final = 65_536
EXACT: Final = 16
"""Up to so many prompts that differ, all ways to turn their signs are counted instead of drawn."""


class Sign(NamedTuple):
    """How many prompts went each way, and how probable so uneven a split is where neither is better (two-sided)."""

    better: int
    worse: int
    equal: int
    p: float


class Permuted(NamedTuple):
    """The mean difference over prompts, and how probable one as large is where the two could be exchanged."""

    difference: float
    p: float
    prompts: int
    shuffles: int
    exact: bool
    seed: int


class Power(NamedTuple):
    """With so many prompts: half the width of the interval, and the difference found with the asked probability."""

    prompts: int
    half_width: float
    detectable: float
    level: float
    power: float


def sign_test(first: Scores, second: Scores) -> Sign:
    """The exact sign test of scores on the same prompts: McNemar's where scores are 0 and 1. Ties say nothing."""
    gaps = _gaps(first, second)
    better, worse = int((gaps > 0).sum()), int((gaps < 0).sum())
    p = float(binomtest(better, better + worse).pvalue) if better + worse else 1.0
    return Sign(better, worse, len(gaps) - better - worse, p)


def permutation_test(first: Scores, second: Scores, *, shuffles: int = SHUFFLES, seed: int = 0) -> Permuted:
    """The paired permutation test of the mean difference: each prompt's two scores are exchanged or not, by lot.

    With few prompts that differ all exchanges are counted. Else p counts what was observed among the shuffles, so that
    it is never 0 (Phipson and Smyth 2010). Where many prompts differ by as much, as wins and losses do, a shuffle draws
    how many of them turn, which is the same.
    """
    gaps = _gaps(first, second)
    if not len(gaps):
        return Permuted(math.nan, 1.0, 0, 0, True, seed)
    moving = gaps[gaps != 0]
    seen = abs(float(moving.sum())) * (1 - 1e-9)
    if len(moving) <= EXACT:
        sums = np.zeros(1)
        for gap in moving:
            sums = np.concatenate([sums + gap, sums - gap])
        p = float((np.abs(sums) >= seen).mean())
        return Permuted(float(gaps.mean()), p, len(gaps), len(sums), True, seed)
    generator = np.random.default_rng(seed)
    sizes, times = np.unique(np.abs(moving), return_counts=True)
    drawn = len(sizes) if len(sizes) * ALIKE <= len(moving) else len(moving)
    shuffles = max(FEWEST_SHUFFLES, min(shuffles, SIGNS // drawn))
    chunk = max(1, 4_000_000 // drawn)
    extreme = 0
    for start in range(0, shuffles, chunk):
        size = (min(chunk, shuffles - start), drawn)
        if drawn < len(moving):
            sums = (times - 2 * generator.binomial(times, 0.5, size=size)) @ sizes
        else:
            bits = np.unpackbits(np.frombuffer(generator.bytes((size[0] * size[1] + 7) // 8), dtype=np.uint8))
            sums = moving.sum() - 2.0 * _sums(bits[: size[0] * size[1]].reshape(size), moving)  # of those exchanged
        extreme += int((np.abs(sums) >= seen).sum())
    return Permuted(float(gaps.mean()), (extreme + 1) / (shuffles + 1), len(gaps), shuffles, False, seed)


def _sums(chosen: NDArray[np.uint8], values: Floats) -> Floats:
    """The sum of the values that are chosen, row by row (1 or 0); a few rows at once, which stay close at hand."""
    step = max(1, AT_ONCE // len(values))
    parts = [chosen[at : at + step].astype(np.float64) @ values for at in range(0, len(chosen), step)]
    return np.concatenate(parts)


def holm(p: Sequence[float]) -> list[float]:
    """The p-values of several tests, adjusted so that one false alarm among all stays as rare as asked (Holm 1979)."""
    order = np.argsort(p)
    adjusted, largest = [0.0] * len(p), 0.0
    for place, index in enumerate(order):
        largest = max(largest, min(1.0, (len(p) - place) * p[index]))
        adjusted[index] = largest
    return adjusted


def power(prompts: int, *, deviation: float = 0.5, level: float = 0.95, power: float = 0.8) -> Power:
    """What a mean over `prompts` can show, where a prompt's score has this standard deviation (0.5: wins and losses).

    Raises ValueError without prompts.
    """
    if prompts < 1:
        raise ValueError("there must be a prompt")
    error = deviation / math.sqrt(prompts)
    tail = float(norm.ppf((1 + level) / 2))
    return Power(prompts, tail * error, (tail + float(norm.ppf(power))) * error, level, power)


def _gaps(first: Scores, second: Scores) -> Floats:
    one, other = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    if one.shape != other.shape or not np.isfinite(one).all() or not np.isfinite(other).all():
        raise ValueError("both must have one finite score for each prompt, in the same order")
    return one - other
