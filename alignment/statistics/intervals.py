"""Intervals for shares and means whose independent unit is the prompt."""

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri, stdtrit

from alignment.statistics.resampling import drawn_sums

Method = Literal["wilson", "wilson_prompts", "bca", "percentile", "none"]
Prompts = Sequence[str] | NDArray[np.intp]
"""Which prompt each of some values is of (n,): its name, or any number from 0."""
RESAMPLES = 2000


class Interval(NamedTuple):
    """Bounds of a number, and the method that gave them."""

    low: float
    high: float
    method: Method


class Clusters(NamedTuple):
    """Sums and counts of one prompt each; the estimate is `sum(sums) / sum(counts)`."""

    sums: NDArray[np.float64]
    counts: NDArray[np.float64]


def numbered(prompts: Prompts) -> NDArray[np.intp]:
    """A number for each prompt (n,), from 0 without gaps, in the order in which prompts first appear."""
    if isinstance(prompts, np.ndarray):
        first = np.full(int(prompts.max(initial=-1)) + 1, len(prompts))
        first[prompts[::-1]] = np.arange(len(prompts))[::-1]
        number = np.empty_like(first)
        number[np.argsort(first, kind="stable")] = np.arange(len(first))
        return np.asarray(number[prompts], dtype=np.intp)
    order = {prompt: index for index, prompt in enumerate(dict.fromkeys(prompts))}
    return np.array([order[prompt] for prompt in prompts], dtype=np.intp)


def cluster(prompts: Prompts, values: Sequence[float] | NDArray[np.float64]) -> Clusters:
    """`values` gathered by prompt, in the order in which prompts first appear."""
    index = numbered(prompts)
    sums = np.bincount(index, weights=np.asarray(values, dtype=np.float64))
    return Clusters(sums.astype(np.float64), np.bincount(index).astype(np.float64))


def wilson(wins: float, n: int, level: float, method: Method = "wilson") -> Interval:
    """Wilson's interval of `wins` in `n`; half wins widen it to the next whole ones on both sides."""
    return Interval(_wilson(math.floor(wins), n, level)[0], _wilson(math.ceil(wins), n, level)[1], method)


def _wilson(wins: int, n: int, level: float) -> tuple[float, float]:
    """Wilson (1927)."""
    tail, share = float(ndtri((1 + level) / 2)), wins / n
    middle = (2 * wins + tail**2) / (2 * (n + tail**2))
    reach = tail * math.sqrt(4 * wins * (1 - share) + tail**2) / (2 * (n + tail**2))
    return middle - reach if wins else 0.0, middle + reach if wins < n else 1.0


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
    sums = drawn_sums(each, items, RESAMPLES, np.random.default_rng(seed))
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
