"""A mean with its interval, resampled by prompt."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from alignment.statistics.intervals import Method, cluster, resampled
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


def mean(prompts: Sequence[str], values: Sequence[float], *, level: float = 0.95, seed: int = 0) -> Mean:
    """The mean of `values`, one for each of `prompts` (may repeat). Raises ValueError unless all are finite."""
    if not all(math.isfinite(value) for value in values):
        raise ValueError("every value must be finite")
    facts = (len(values), len(set(prompts)), level, seed)
    if not values:
        return Mean(math.nan, math.nan, math.nan, *facts, "none", NO_VALUES)
    middle = math.fsum(values) / len(values)
    found = resampled(cluster(prompts, values), level, seed) if facts[1] >= FEWEST else None
    if found is None:
        why = f"An interval needs {FEWEST} prompts, not all with the same value."
        return Mean(middle, math.nan, math.nan, *facts, "none", why)
    return Mean(middle, found.low, found.high, *facts, found.method)
