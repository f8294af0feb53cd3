"""What can be said of each annotator: rates with intervals, agreement with the others, a test of sides, their pace."""

import math
from itertools import pairwise
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom, norm

from alignment.statistics.ratings import Numbers, Ratings

NOTHING = "There is nothing to count."
YES, NO, UNKNOWN = 1, 0, -1
FASTEST_READING = 100.0  # characters a second: about 1,000 words a minute, four times what people read attentively
FASTEST = 1.0  # seconds: nobody looks at two answers and decides in less
TOO_FAST = (
    f"A judgement is too fast that took less than reading the responses at {FASTEST_READING:.0f} characters a second"
    f" would (about 1,000 words a minute), or less than {FASTEST:.0f} second."
)
Array = NDArray[np.float64]
Flags = NDArray[np.int8]


class Rate(NamedTuple):
    """A share of `n` cases with Wilson's interval; `value` and bounds are None, with a reason, where there are none."""

    value: float | None
    low: float | None
    high: float | None
    hits: int
    n: int
    level: float
    method: Literal["wilson", "none"]
    reason: str | None = None


class Tested(NamedTuple):
    """A rate, and how probable one as far from a half as this is when a half is true (two-sided binomial test)."""

    rate: Rate
    p_value: float | None


def wilson_bounds(hits: Array, n: Array, level: float) -> tuple[Array, Array]:
    """Wilson's score interval of `hits` in `n` cases (Wilson 1927), element by element; `n` is positive."""
    z = float(norm.ppf((1 + level) / 2))
    share = hits / n
    middle = share + z * z / (2 * n)
    reach = z * np.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    below = 1 + z * z / n
    return np.clip((middle - reach) / below, 0, 1), np.clip((middle + reach) / below, 0, 1)


def rates(
    flags: Flags, annotator: Numbers, people: int, *, item: Numbers | None = None, level: float = 0.95
) -> list[Rate]:
    """Of each annotator the share of YES among YES and NO; entries that are UNKNOWN are left out.

    Where several entries belong to one `item`, the interval is that of as many trials as there are items.
    """
    counted = flags != UNKNOWN
    n = np.bincount(annotator[counted], minlength=people)
    hits = np.bincount(annotator[flags == YES], minlength=people)
    trials = n if item is None else _distinct(annotator[counted], item[counted], people)
    some = n > 0
    low, high = np.zeros(people), np.zeros(people)
    low[some], high[some] = wilson_bounds(hits[some] / n[some] * trials[some], trials[some].astype(np.float64), level)
    return [
        Rate(
            int(hits[one]) / int(n[one]),
            float(low[one]),
            float(high[one]),
            int(hits[one]),
            int(n[one]),
            level,
            "wilson",
        )
        if n[one]
        else Rate(None, None, None, 0, 0, level, "none", NOTHING)
        for one in range(people)
    ]


def against_half(flags: Flags, annotator: Numbers, people: int, *, level: float = 0.95) -> list[Tested]:
    """Of each annotator the share of YES, tested against a half."""
    found = rates(flags, annotator, people, level=level)
    hits = np.array([rate.hits for rate in found])
    n = np.array([rate.n for rate in found])
    p = np.minimum(1.0, 2 * binom.cdf(np.minimum(hits, n - hits), np.maximum(n, 1), 0.5))
    return [Tested(rate, float(value) if rate.n else None) for rate, value in zip(found, p, strict=True)]


def with_the_others(ratings: Ratings) -> Flags:
    """Of each judgement whether it is what most of the others said of the unit.

    UNKNOWN where nobody else judged it, and where two answers lead equally among the others.
    """
    others = ratings.counts()[ratings.unit]
    others[np.arange(len(others)), ratings.category] -= 1
    lead = others.max(axis=1, initial=0)
    leaders = np.sum(others == lead[:, None], axis=1)
    same = others[np.arange(len(others)), ratings.category] == lead
    return np.where((lead > 0) & (leaders == 1), same, UNKNOWN).astype(np.int8)


def too_fast(seconds: Array, characters: Array) -> Flags:
    """Whether each judgement came sooner than its responses can be read (`TOO_FAST`); UNKNOWN without a time."""
    limit = np.maximum(FASTEST, characters / FASTEST_READING)
    return np.where(np.isnan(seconds), UNKNOWN, seconds < limit).astype(np.int8)


def medians(values: Array, annotator: Numbers, people: int) -> list[float | None]:
    """Of each annotator the median of their values; nan is left out, None where nothing is left."""
    there = ~np.isnan(values)
    order = np.lexsort((values[there], annotator[there]))
    grouped, owner = values[there][order], annotator[there][order]
    bounds = np.searchsorted(owner, np.arange(people + 1))
    found: list[float | None] = []
    for low, high in pairwise(bounds):
        middle = float(np.median(grouped[low:high])) if high > low else math.nan
        found.append(None if math.isnan(middle) else middle)
    return found


def _distinct(annotator: Numbers, item: Numbers, people: int) -> Numbers:
    """How many different items each annotator has among these entries."""
    width = int(item.max(initial=0)) + 1
    owners = np.unique(annotator * width + item) // width
    return np.bincount(owners, minlength=people).astype(np.int64)
