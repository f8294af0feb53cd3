"""Agreement among any number of annotators, corrected for chance in the ways the field knows, with intervals."""

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from alignment.statistics.ratings import Ratings, gathered
from alignment.statistics.resampling import resampled_sums, spread

Name = Literal[
    "percent",
    "cohen_kappa",
    "fleiss_kappa",
    "krippendorff_alpha_nominal",
    "krippendorff_alpha_ordinal",
    "krippendorff_alpha_interval",
    "gwet_ac1",
]
ALONE = "No item has labels of two annotators."
ONE_ANSWER = "Everybody gave the same answer to every item: chance alone would explain it."
ONE_CATEGORY = "There is one answer to choose only."
NO_SCALE = "The answers are no scale, so there is no distance between them."
Array = NDArray[np.float64]


class Coefficient(NamedTuple):
    """A measure of agreement with everything needed to read it.

    `value` is None where it does not exist, the bounds where no interval does; `reason` says why. `n` are the items
    that count: those with labels of two annotators at least. `labels` are those on them.
    """

    name: Name
    value: float | None
    low: float | None
    high: float | None
    n: int
    labels: int
    level: float
    seed: int
    rounds: int
    reason: str | None = None


class _Sums(NamedTuple):
    """Sums over items, in as many rounds as there are rows: what every coefficient is a function of.

    `pairable` units with two labels, `agreed` the sum of their shares of agreeing pairs, `rated` units with a label,
    `shares` the sum of each category's share of a unit's labels, `matrix` Krippendorff's coincidences.
    """

    pairable: Array
    agreed: Array
    rated: Array
    shares: Array
    matrix: Array


def coefficients(
    ratings: Ratings, scale: Sequence[float] | None = None, *, level: float = 0.95, seed: int = 0
) -> dict[Name, Coefficient]:
    """All coefficients that any number of annotators may have, by name.

    `scale` are the values of the categories, in growing order, where they are steps of a scale: only then do the
    ordinal and the interval alpha exist. Intervals draw whole items. Raises ValueError for a level outside (0, 1).
    """
    if not 0 < level < 1:
        raise ValueError(f"level is {level}; it must lie between 0 and 1")
    counts = ratings.counts()
    made, rows, items = gathered(counts, ratings.item)
    found: dict[Name, Coefficient] = {}
    facts = _facts(counts, ratings.item)
    if not facts[0]:
        return {name: Coefficient(name, None, None, None, *facts, level, seed, 0, ALONE) for name in _formulas(scale)}
    each = made @ _per_unit(rows)
    width = len(ratings.categories)
    whole = _split((items @ each)[None, :], width)
    drawn = _split(resampled_sums(each, items, seed), width)
    for name, formula in _formulas(scale).items():
        value = float(formula(whole)[0])
        if not np.isfinite(value):
            why = NO_SCALE if scale is None and name.endswith(("ordinal", "interval")) else _why(width)
            found[name] = Coefficient(name, None, None, None, *facts, level, seed, 0, why)
            continue
        low, high, rounds, reason = spread(formula(drawn), facts[0], level)
        found[name] = Coefficient(name, value, low, high, *facts, level, seed, rounds, reason)
    return found


def _why(width: int) -> str:
    return ONE_CATEGORY if width < 2 else ONE_ANSWER


def _facts(counts: NDArray[np.int64], item: NDArray[np.int64]) -> tuple[int, int]:
    """Items with labels of two annotators at least, and the labels that are compared on them."""
    labels = counts.sum(axis=1)
    compared = labels >= 2
    return len(np.unique(item[compared])), int(labels[compared].sum())


def _per_unit(rows: NDArray[np.int64]) -> Array:
    """What one unit with these counts adds to each of the sums, side by side."""
    counts = rows.astype(np.float64)
    labels = counts.sum(axis=1)
    pairable = labels >= 2
    others = np.where(pairable, labels - 1, 1.0)  # the divisor of what is set to 0 below
    pairs = counts[:, :, None] * counts[:, None, :]
    width = counts.shape[1]
    pairs[:, np.arange(width), np.arange(width)] -= counts
    matrix = np.where(pairable[:, None, None], pairs / others[:, None, None], 0.0)
    agreed = np.trace(matrix, axis1=1, axis2=2) / np.maximum(labels, 1)
    shares = counts / np.maximum(labels, 1)[:, None]
    columns = [pairable[:, None], agreed[:, None], (labels > 0)[:, None], shares, matrix.reshape(len(rows), -1)]
    return np.concatenate([column.astype(np.float64) for column in columns], axis=1)


def _split(sums: Array, width: int) -> _Sums:
    matrix = sums[:, 3 + width :].reshape(-1, width, width)
    return _Sums(sums[:, 0], sums[:, 1], sums[:, 2], sums[:, 3 : 3 + width], matrix)


def _formulas(scale: Sequence[float] | None) -> dict[Name, Callable[[_Sums], Array]]:
    def nominal(sums: _Sums) -> Array:
        return _alpha(sums.matrix, lambda margins: 1 - np.eye(margins.shape[1]))

    def interval(sums: _Sums) -> Array:
        if scale is None:
            return np.full(len(sums.matrix), np.nan)
        steps = np.asarray(scale, dtype=np.float64)
        return _alpha(sums.matrix, lambda _: (steps[:, None] - steps) ** 2)

    def ordinal(sums: _Sums) -> Array:
        return _alpha(sums.matrix, _ranks) if scale is not None else np.full(len(sums.matrix), np.nan)

    return {
        "percent": lambda sums: _divided(sums.agreed, sums.pairable),
        "fleiss_kappa": _fleiss,
        "krippendorff_alpha_nominal": nominal,
        "krippendorff_alpha_ordinal": ordinal,
        "krippendorff_alpha_interval": interval,
        "gwet_ac1": _ac1,
    }


def _divided(above: Array, below: Array) -> Array:
    """The quotient; nan where nothing is divided by nothing."""
    there = np.abs(below) > 1e-12
    return np.where(there, above / np.where(there, below, 1.0), np.nan)


def _fleiss(sums: _Sums) -> Array:
    """Fleiss (1971); with unequal numbers of labels Gwet's generalization (2014, section 2.7)."""
    agreed = _divided(sums.agreed, sums.pairable)
    chance = np.sum((sums.shares / np.maximum(sums.rated, 1)[:, None]) ** 2, axis=1)
    return _divided(agreed - chance, 1 - chance)


def _ac1(sums: _Sums) -> Array:
    """Gwet (2008); what chance explains is small where one answer rules, which is where kappa misleads."""
    width = sums.shares.shape[1]
    if width < 2:
        return np.full(len(sums.rated), np.nan)
    agreed = _divided(sums.agreed, sums.pairable)
    shares = sums.shares / np.maximum(sums.rated, 1)[:, None]
    chance = np.sum(shares * (1 - shares), axis=1) / (width - 1)
    return _divided(agreed - chance, 1 - chance)


def _ranks(margins: Array) -> Array:
    """Krippendorff's ordinal distances: how many values lie between two steps, half of each step's own included."""
    middle = np.cumsum(margins, axis=1) - margins / 2
    return (middle[:, :, None] - middle[:, None, :]) ** 2


def _alpha(matrix: Array, distances: Callable[[Array], Array]) -> Array:
    """1 - observed over expected disagreement (Krippendorff 2011, "Computing Krippendorff's alpha-reliability")."""
    margins = matrix.sum(axis=2)
    total = margins.sum(axis=1)
    apart = distances(margins)
    observed = np.sum(matrix * apart, axis=(1, 2))
    expected = np.sum(margins[:, :, None] * margins[:, None, :] * apart, axis=(1, 2))
    return 1 - _divided(observed * (total - 1), expected)
