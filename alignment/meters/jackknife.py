"""Intervals of numbers that belong to a set of answers: each prompt left out once (Efron and Stein 1981).

A bootstrap would draw prompts twice, and answers that stand twice are less varied by that alone.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student

from alignment.statistics.resampling import FEWEST

Floats = NDArray[np.float64]
TOO_FEW = f"An interval needs {FEWEST} prompts with answers."
NO_SPREAD = "Leaving out any prompt changes nothing, so there is no spread to tell from."
NOTHING = "There is no answer to tell it from."


class Value(NamedTuple):
    """A number, what it is without each of the prompts (P,), the answers it is of, and where it cannot go."""

    value: float
    without: Floats
    n: int
    least: float = -math.inf
    most: float = math.inf


class Metered(NamedTuple):
    """A number with everything needed to read it; nan where there is none, and `reason` says why."""

    value: float
    low: float
    high: float
    n: int
    prompts: int
    level: float
    reason: str | None = None


def metered(found: Value, *, level: float = 0.95) -> Metered:
    """The number with its interval: Student's t on the jackknife's standard error, within what is possible."""
    prompts = len(found.without)
    facts = (found.n, prompts, level)
    if not math.isfinite(found.value):
        return Metered(math.nan, math.nan, math.nan, *facts, NOTHING)
    if prompts < FEWEST or not np.isfinite(found.without).all():
        return Metered(found.value, math.nan, math.nan, *facts, TOO_FEW)
    error = math.sqrt((prompts - 1) / prompts * float(((found.without - found.without.mean()) ** 2).sum()))
    if error < 1e-12:
        return Metered(found.value, math.nan, math.nan, *facts, NO_SPREAD)
    reach = error * float(student.ppf((1 + level) / 2, prompts - 1))
    return Metered(found.value, max(found.least, found.value - reach), min(found.most, found.value + reach), *facts)


def difference(first: Value, second: Value) -> Value:
    """The first less the second, both on the same prompts in the same order.  Raises ValueError where they differ."""
    if len(first.without) != len(second.without):
        raise ValueError("both must be of the same prompts")
    return Value(first.value - second.value, first.without - second.without, min(first.n, second.n))


def mean(values: Floats, cluster: NDArray[np.int64], prompts: int, *, most: float = math.inf) -> Value:
    """The mean of `values`, none below 0, whose prompts are at `cluster`."""
    sums = np.bincount(cluster, weights=values, minlength=prompts)
    counts = np.bincount(cluster, minlength=prompts)
    total, n = float(values.sum()), len(values)
    left = np.asarray(total - sums, dtype=np.float64)
    return Value(total / n if n else math.nan, ratio(left, n - counts), n, 0.0, most)


def ratio(above: Floats, below: Floats | NDArray[np.int64]) -> Floats:
    """Quotients, nan where nothing is below."""
    return np.asarray(np.divide(above, below, out=np.full(len(above), np.nan), where=below > 0), dtype=np.float64)
