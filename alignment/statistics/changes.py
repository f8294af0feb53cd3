"""Whether something fell by more than a margin: the change of a rate on the same prompts, and what may be said of it.

A change lies wholly below minus the margin (worse), wholly above it (no worse), or cannot be told apart from it.
"""

import math
from collections.abc import Callable, Sequence
from typing import Final, Literal, NamedTuple

import numpy as np
from scipy.optimize import brentq
from scipy.stats import norm

from alignment.statistics.comparisons import holm, permutation_test
from alignment.statistics.intervals import cluster

Mark = Literal["worse", "no_worse", "unclear"]
Method = Literal["paired", "two_errors", "none"]
Bounds = Callable[[float, float], tuple[float, float]]
"""The interval that reaches so many standard errors on so many prompts, were they like those that were seen."""

FURTHEST: Final = 38.0  # standard errors; beyond them a normal tail is 0
POWER: Final = 0.8
MOST_NEEDED: Final = 1_000_000
NOTHING: Final = "There is no prompt that both answered."


class Change(NamedTuple):
    """A rate before and after, in [0, 1], and their difference with its interval; `p` is how probable a fall so far
    below the margin is where there was none (two-sided). Where no interval can be had `reason` says why.

    `needed` is about how many prompts would tell, were they like these; None where that is told, or no number would do.
    """

    base: float
    now: float
    difference: float
    low: float
    high: float
    p: float
    prompts: int
    needed: int | None
    method: Method
    margin: float
    level: float
    seed: int
    reason: str | None = None


def paired(
    prompts: Sequence[str], base: Sequence[float], now: Sequence[float], *,
    margin: float = 0.02, level: float = 0.95, seed: int = 0,
) -> Change:  # fmt: skip
    """The change of scores in [0, 1] of the same prompts, which are the units: one of several scores has their mean.

    Gains and losses are two shares of the prompts that exclude each other; Wilson's intervals of both are put together
    by their squares (Newcombe 1998, with the correlation of a multinomial), which holds where few prompts or none
    differ. For p to be small the exact paired permutation test (McNemar's, where scores are 0 and 1) must find a
    difference too.
    Raises ValueError for a score outside [0, 1].
    """
    if any(not 0 <= score <= 1 for score in (*base, *now)):
        raise ValueError("every score must lie in [0, 1]")
    if not prompts:
        return _nothing(margin, level, seed, NOTHING)
    before, after = (cluster(prompts, scores) for scores in (base, now))
    one, other = before.sums / before.counts, after.sums / after.counts
    gaps = other - one
    up, down = float(np.maximum(gaps, 0).mean()), float(np.maximum(-gaps, 0).mean())

    together = math.sqrt(up * down / ((1 - up) * (1 - down))) if up and down else 0.0

    def bounds(reach: float, n: float) -> tuple[float, float]:
        (up_low, up_high), (down_low, down_high) = _wilson(up, n, reach), _wilson(down, n, reach)
        below = _added(up - up_low, down_high - down, together)
        return up - down - below, up - down + _added(up_high - up, down - down_low, together)

    moved = permutation_test(other, one, seed=seed).p
    found = _told(float(one.mean()), float(other.mean()), bounds, len(gaps), "paired", margin, level, seed)
    return found._replace(p=max(found.p, moved) if found.p < 1 else 1.0)


def of_errors(
    base: float, base_error: float, now: float, now_error: float, prompts: int, *, margin: float = 0.02,
    level: float = 0.95,
) -> Change:  # fmt: skip
    """The change of two rates of which only the standard errors are known, as if they were of different prompts.

    That is wider than it need be where they were of the same ones.
    """
    spread = math.hypot(base_error, now_error)
    if not math.isfinite(spread) or spread == 0 or prompts < 1:
        return _nothing(margin, level, 0, "Their errors are not known.")._replace(
            base=base, now=now, difference=now - base, prompts=prompts
        )

    def bounds(reach: float, n: float) -> tuple[float, float]:
        half = reach * spread * math.sqrt(prompts / n)
        return now - base - half, now - base + half

    return _told(base, now, bounds, prompts, "two_errors", margin, level, 0)


def marks(changes: Sequence[Change]) -> list[Mark]:
    """What may be said of each, where all were asked at once: a false "worse" among all of them stays as rare as the
    level asks (Holm 1979). "No worse" holds for each by itself."""
    adjusted = holm([change.p for change in changes])
    return [_mark(change, p) for change, p in zip(changes, adjusted, strict=True)]


def together(found: Sequence[Mark]) -> Mark:
    """Worse where anything is; no worse where everything is that."""
    if "worse" in found:
        return "worse"
    return "no_worse" if found and set(found) == {"no_worse"} else "unclear"


def _mark(change: Change, p: float) -> Mark:
    if p < 1 - change.level:
        return "worse"
    return "no_worse" if change.low > -change.margin else "unclear"


def _told(
    base: float, now: float, bounds: Bounds, n: int, method: Method, margin: float, level: float, seed: int
) -> Change:  # fmt: skip
    reach = float(norm.ppf((1 + level) / 2))
    low, high = bounds(reach, n)
    clear = high < -margin or low > -margin
    return Change(
        base, now, now - base, max(low, -1.0), min(high, 1.0), _fallen(bounds, n, now - base, margin), n,
        None if clear else _needed(bounds, n, now - base, margin, reach + float(norm.ppf(POWER))),
        method, margin, level, seed,
    )  # fmt: skip


def _fallen(bounds: Bounds, n: int, difference: float, margin: float) -> float:
    """One minus the widest level whose interval lies below minus the margin."""
    if difference >= -margin:
        return 1.0

    def above(reach: float) -> float:
        return bounds(reach, n)[1] + margin

    if above(0.0) >= 0:  # the fall is the margin itself, but for rounding
        return 1.0
    return 2 * float(norm.sf(brentq(above, 0.0, FURTHEST))) if above(FURTHEST) > 0 else 0.0


def _needed(bounds: Bounds, n: int, difference: float, margin: float, reach: float) -> int | None:
    """How many prompts would put the interval on the side where the difference lies, four times in five."""

    def clear(prompts: float) -> bool:
        low, high = bounds(reach, prompts)
        return low > -margin if difference > -margin else high < -margin

    if difference == -margin or not clear(MOST_NEEDED):
        return None
    few, many = n, MOST_NEEDED
    while many - few > 1:
        middle = (few + many) // 2
        few, many = (few, middle) if clear(middle) else (middle, many)
    return many


def _added(one: float, other: float, correlation: float) -> float:
    return math.sqrt(one**2 + other**2 + 2 * correlation * one * other)


def _wilson(share: float, n: float, reach: float) -> tuple[float, float]:
    """Wilson's interval of a share; of values between 0 and 1 it is too wide, if anything."""
    scale = 1 + reach**2 / n
    middle = (share + reach**2 / (2 * n)) / scale
    half = reach / scale * math.sqrt(share * (1 - share) / n + reach**2 / (4 * n**2))
    return max(0.0, min(share, middle - half)), min(1.0, max(share, middle + half))


def _nothing(margin: float, level: float, seed: int, reason: str) -> Change:
    nan = math.nan
    return Change(nan, nan, nan, nan, nan, 1.0, 0, None, "none", margin, level, seed, reason)
