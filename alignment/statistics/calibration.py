"""Whether a judge is as often right as it is sure: reliability diagram, expected calibration error, Brier score."""

import math
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from alignment.statistics.intervals import Prompts
from alignment.statistics.means import mean
from alignment.statistics.resampling import FEWEST, drawn_sums
from alignment.statistics.win_rates import rated

Floats = NDArray[np.float64]
BINS: Final = 15
ROUNDS: Final = 1000
NO_PAIRS: Final = "No match has both a probability of the judge and a verdict of people."
NO_PROBABILITIES: Final = "This judge names a winner and no probability, so there is nothing to calibrate."
CLEAR: Final = (0.0, 0.5, 1.0)


class Bin(NamedTuple):
    """Matches on which the judge was about as sure: mean confidence, share it was right in, and bounds of that."""

    low: float
    high: float
    n: int
    confidence: float
    right: float
    right_low: float
    right_high: float


class Calibration(NamedTuple):
    """How far confidence and being right lie apart.

    `error` is the expected calibration error, with a bootstrap over prompts corrected for its bias; `by_chance` is what
    it stays below (with probability `level`) for a judge that is perfectly calibrated on as many matches. `brier` is
    the mean squared difference of the judge's probability from what people said, with its interval. Everything is nan,
    and `reason` says why, where nothing can be told; bounds are, below ten prompts.
    """

    bins: list[Bin]
    error: float
    low: float
    high: float
    by_chance: float
    brier: float
    brier_low: float
    brier_high: float
    n: int
    prompts: int
    level: float
    seed: int
    reason: str | None = None


def calibration(
    prompts: Prompts,
    probability: Sequence[float] | Floats,
    outcome: Sequence[float] | Floats,
    *,
    level: float = 0.95,
    seed: int = 0,
) -> Calibration:
    """`probability` that the first wins as the judge has it, `outcome` as people have it (0.5: a tie), (n,) each.

    Confidence is the probability of the likelier side, so that it does not matter which is written first (Guo et al.
    2017, eq. 3, with fifteen bins of equal width).  Raises ValueError for values outside [0, 1].
    """
    said, truth = np.asarray(probability, dtype=np.float64), np.asarray(outcome, dtype=np.float64)
    if not ((said >= 0) & (said <= 1)).all() or not ((truth >= 0) & (truth <= 1)).all():
        raise ValueError("every probability and every outcome must lie in [0, 1]")
    names, group = np.unique(np.asarray(prompts), return_inverse=True)
    facts = (len(said), len(names), level, seed)
    nothing = Calibration([], *(math.nan,) * 7, *facts)
    if not len(said):
        return nothing._replace(reason=NO_PAIRS)
    if np.isin(said, CLEAR).all():
        return nothing._replace(reason=NO_PROBABILITIES)
    sure = np.maximum(said, 1 - said)
    right = np.where(said >= 0.5, truth, 1 - truth)
    place = np.minimum((sure * BINS).astype(np.intp), BINS - 1)
    brier = mean(group, (said - truth) ** 2, level=level, seed=seed)
    error = float(
        _error(np.bincount(place, weights=right - sure, minlength=BINS)[None].astype(np.float64), len(said))[0]
    )
    low, high = _interval(error, right - sure, place, group, level, seed) if facts[1] >= FEWEST else (math.nan,) * 2
    return Calibration(
        _bins(group, sure, right, place, level, seed),
        error, low, high, _by_chance(sure, place, level, seed), brier.mean, brier.low, brier.high, *facts,
    )  # fmt: skip


def _error(sums: Floats, n: Floats | int) -> Floats:
    """Sum over bins of |what was right less confidence|, over n: (rounds,) of (rounds, bins)."""
    return np.asarray(np.abs(sums).sum(axis=-1) / n)


def _interval(
    error: float, gaps: Floats, place: NDArray[np.intp], group: NDArray[np.intp], level: float, seed: int
) -> tuple[float, float]:
    """Normal bounds from a bootstrap over prompts, reaching down further by the bias that absolute values give it."""
    size = int(group.max()) + 1
    sums = np.zeros((size, BINS + 1))
    np.add.at(sums, (group, place), gaps)
    np.add.at(sums[:, BINS], group, 1.0)
    drawn = drawn_sums(sums, np.ones(size, dtype=np.int64), ROUNDS, np.random.default_rng(seed))
    errors = _error(drawn[:, :BINS], drawn[:, BINS])
    reach = float(ndtri((1 + level) / 2)) * float(errors.std())
    bias = max(0.0, float(errors.mean()) - error)
    return max(0.0, error - bias - reach), min(1.0, error + reach)


def _by_chance(sure: Floats, place: NDArray[np.intp], level: float, seed: int) -> float:
    """The quantile of the error of a judge that is right exactly as often as it is sure."""
    generator = np.random.default_rng(seed)
    variance = np.bincount(place, weights=sure * (1 - sure), minlength=BINS)
    drawn = generator.normal(size=(ROUNDS, BINS)) * np.sqrt(variance)
    return float(np.quantile(_error(drawn, len(sure)), level))


def _bins(
    group: NDArray[np.intp], sure: Floats, right: Floats, place: NDArray[np.intp], level: float, seed: int
) -> list[Bin]:
    found = []
    for one in np.unique(place):
        own = np.flatnonzero(place == one)
        rate = rated(group[own], right[own], level=level, seed=seed)
        found.append(
            Bin(one / BINS, (one + 1) / BINS, len(own), float(sure[own].mean()), rate.rate, rate.low, rate.high)
        )
    return found
