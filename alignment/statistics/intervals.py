"""Intervals for shares and means whose independent unit is the prompt."""

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri, stdtrit
from scipy.stats import binomtest

from alignment.statistics.resampling import draws

Method = Literal["wilson", "wilson_prompts", "bca", "percentile", "none"]
RESAMPLES = 2000
CHUNK = 2_000_000  # numbers drawn that are held at once


class Interval(NamedTuple):
    """Bounds of a number, and the method that gave them."""

    low: float
    high: float
    method: Method


class Clusters(NamedTuple):
    """Sums and counts of one prompt each; the estimate is `sum(sums) / sum(counts)`."""

    sums: NDArray[np.float64]
    counts: NDArray[np.float64]


def cluster(prompts: Sequence[str], values: Sequence[float]) -> Clusters:
    """`values` gathered by prompt, in the order in which prompts first appear."""
    order = {prompt: index for index, prompt in enumerate(dict.fromkeys(prompts))}
    index = [order[prompt] for prompt in prompts]
    sums = np.bincount(index, weights=np.asarray(values, dtype=np.float64), minlength=len(order))
    return Clusters(sums.astype(np.float64), np.bincount(index, minlength=len(order)).astype(np.float64))


def wilson(wins: float, n: int, level: float, method: Method = "wilson") -> Interval:
    """Wilson's interval of `wins` in `n`; half wins widen it to the next whole ones on both sides."""
    low = binomtest(math.floor(wins), n).proportion_ci(level, method="wilson").low
    high = binomtest(math.ceil(wins), n).proportion_ci(level, method="wilson").high
    return Interval(float(low), float(high), method)


def resampled(clusters: Clusters, level: float, seed: int) -> Interval | None:
    """A bootstrap over prompts: BCa (Efron 1987) where it exists, else percentile; None when all resamples are equal.

    Prompts are drawn whole, so several matches on one prompt do not pass for independent ones. Those on which the same
    happened are alike, and drawn by how many of them there are.
    """
    means = clusters.sums / clusters.counts
    if len(means) < 2 or np.allclose(means, means[0]):
        return None
    kinds, items = np.unique(clusters.sums + 1j * clusters.counts, return_counts=True)
    each = np.column_stack([kinds.real, kinds.imag])
    generator = np.random.default_rng(seed)
    step = max(1, CHUNK // len(items))
    sums = np.concatenate(
        [draws(items, min(step, RESAMPLES - done), generator) @ each for done in range(0, RESAMPLES, step)]
    )
    ratios = sums[:, 0] / sums[:, 1]
    tails = _wider(level, len(means))
    bent = _bent(ratios, each, items, tails)
    low, high = np.quantile(ratios, tails if bent is None else bent)
    return Interval(float(low), float(high), "percentile" if bent is None else "bca")


def _wider(level: float, prompts: int) -> NDArray[np.float64]:
    """The tails that make a bootstrap as wide as Student's interval where prompts are few (Hesterberg 2015, sec. 5)."""
    reach = stdtrit(prompts - 1, (1 + level) / 2) * math.sqrt(prompts / (prompts - 1))
    return np.asarray(ndtr([-reach, reach]))


def _bent(
    ratios: NDArray[np.float64], each: NDArray[np.float64], items: NDArray[np.int64], tails: NDArray[np.float64]
) -> NDArray[np.float64] | None:
    """The tails corrected for bias and acceleration (Efron 1987, eq. 2.3); None where they do not exist."""
    whole = items @ each
    estimate = whole[0] / whole[1]
    near = 1e-12 * max(1.0, abs(estimate))
    below = float(np.mean(ratios < estimate - near) + 0.5 * np.mean(np.abs(ratios - estimate) <= near))
    if not 0 < below < 1:
        return None
    without = (whole[0] - each[:, 0]) / (whole[1] - each[:, 1])
    gaps = float(items @ without) / items.sum() - without
    acceleration = float(items @ gaps**3) / (6 * float(items @ gaps**2) ** 1.5)
    bias = float(ndtri(below))
    reach = bias + ndtri(tails)
    left = 1 - acceleration * reach
    return None if (left <= 0).any() else np.asarray(ndtr(bias + reach / left))
