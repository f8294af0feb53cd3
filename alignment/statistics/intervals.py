"""Intervals for shares and means whose independent unit is the prompt."""

import math
import warnings
from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest, bootstrap

Method = Literal["wilson", "wilson_prompts", "bca", "percentile", "none"]
RESAMPLES = 2000
FEWEST = 10  # below this many prompts a bootstrap is too narrow; `coverage` in the tests measures it


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
    """A bootstrap over prompts: BCa where it exists, else percentile; None when all resamples are equal.

    Prompts are drawn whole, so several matches on one prompt do not pass for independent ones.
    """

    def ratio(sums: NDArray[np.float64], counts: NDArray[np.float64], axis: int = -1) -> NDArray[np.float64]:
        return np.asarray(np.sum(sums, axis=axis) / np.sum(counts, axis=axis), dtype=np.float64)

    means = clusters.sums / clusters.counts
    if len(means) < 2 or np.allclose(means, means[0]):
        return None
    for method in ("bca", "percentile"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # scipy warns where BCa does not exist; the answer is nan then
            found = bootstrap(
                clusters,
                ratio,
                paired=True,
                vectorized=True,
                n_resamples=RESAMPLES,
                batch=max(1, 1_000_000 // len(means)),
                confidence_level=level,
                method="BCa" if method == "bca" else "percentile",
                rng=np.random.default_rng(seed),
            ).confidence_interval
        if math.isfinite(found.low) and math.isfinite(found.high):
            return Interval(float(found.low), float(found.high), "bca" if method == "bca" else "percentile")
    return None
