"""A mean with its interval, resampled by prompt."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from alignment.statistics.intervals import Method, Prompts, cluster, resampled
from alignment.statistics.resampling import FEWEST

NO_VALUES = "There is no value yet."


class Mean(NamedTuple):
    """A mean with everything needed to read it; bounds are nan when no interval can be had, and `reason` says why."""

    mean: float
    low: float
    high: float
    n: int
    prompts: int
    level: float
    seed: int
    method: Method
    reason: str | None = None


def mean(
    prompts: Prompts, values: Sequence[float] | NDArray[np.float64], *, level: float = 0.95, seed: int = 0
) -> Mean:
    """The mean of `values`, one for each of `prompts` (may repeat). Raises ValueError unless all are finite."""
    numbers = np.asarray(values, dtype=np.float64)
    if not np.isfinite(numbers).all():
        raise ValueError("every value must be finite")
    clusters = cluster(prompts, numbers)
    facts = (len(numbers), len(clusters.sums), level, seed)
    if not len(numbers):
        return Mean(math.nan, math.nan, math.nan, *facts, "none", NO_VALUES)
    middle = math.fsum(numbers.tolist()) / len(numbers)
    found = resampled(clusters, level, seed) if facts[1] >= FEWEST else None
    if found is None:
        why = f"An interval needs {FEWEST} prompts, not all with the same value."
        return Mean(middle, math.nan, math.nan, *facts, "none", why)
    return Mean(middle, found.low, found.high, *facts, found.method)
