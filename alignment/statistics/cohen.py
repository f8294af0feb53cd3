"""How far two annotators agree, beyond chance: Cohen's kappa of two, and of every pair among several."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from alignment.statistics.coefficients import ALONE, Coefficient, Name
from alignment.statistics.ratings import Numbers, Ratings, gathered
from alignment.statistics.resampling import resampled_sums, spread

ONE_ANSWER = "Both gave one and the same answer to every item: chance alone would explain it."
NOTHING_SHARED = "They have judged no item both."


class Agreement(NamedTuple):
    """Cases both rated, how many they rated alike, and Cohen's kappa (nan where chance alone explains everything)."""

    n: int
    agreed: int
    kappa: float


class Pair(NamedTuple):
    """Two annotators, by their numbers, and how far they agree on the items that both judged."""

    first: int
    second: int
    percent: Coefficient
    kappa: Coefficient


def agreement(first: Sequence[str], second: Sequence[str]) -> Agreement:
    """The agreement of two raters on the same cases, in the same order.  Raises ValueError for unequal lengths."""
    agreed = sum(one == other for one, other in zip(first, second, strict=True))
    names = sorted({*first, *second})
    cells = np.zeros((len(names), len(names)))
    for one, other in zip(first, second, strict=True):
        cells[names.index(one), names.index(other)] += 1
    return Agreement(len(first), agreed, float(_kappa(cells[None])[0]) if first else math.nan)


def cohen(ratings: Ratings, *, level: float = 0.95, seed: int = 0) -> Coefficient:
    """Cohen's kappa where there are two annotators; the reason that there is none where there are not."""
    people = np.unique(ratings.annotator)
    if len(people) == 2:
        return pairs(ratings, people.tolist(), level=level, seed=seed)[0].kappa
    alone = len(people) < 2
    reason = ALONE if alone else f"Cohen's kappa compares two annotators; here are {len(people)}: see their pairs."
    return Coefficient("cohen_kappa", None, None, None, 0, 0, level, seed, 0, reason)


def pairs(ratings: Ratings, people: Sequence[int], *, level: float = 0.95, seed: int = 0) -> list[Pair]:
    """Every two of `people`, in their order. Intervals draw whole items among those that both judged."""
    width = len(ratings.categories)
    place = np.full(int(ratings.annotator.max(initial=-1)) + 1, -1)
    known = [person for person in people if person < len(place)]
    place[known] = [people.index(person) for person in known]
    said = np.full((len(ratings.item), len(people)), -1, dtype=np.int64)
    wanted = place[ratings.annotator] >= 0
    said[ratings.unit[wanted], place[ratings.annotator[wanted]]] = ratings.category[wanted]
    found = []
    for second in range(len(people)):
        for first in range(second):
            both = (said[:, first] >= 0) & (said[:, second] >= 0)
            cells = said[both, first] * width + said[both, second]
            percent, kappa = _measured(cells, ratings.item[: len(said)][both], width, level, seed)
            found.append(Pair(people[first], people[second], percent, kappa))
    return sorted(found, key=lambda pair: (people.index(pair.first), people.index(pair.second)))


def _measured(cells: Numbers, item: Numbers, width: int, level: float, seed: int) -> tuple[Coefficient, Coefficient]:
    """Share of equal answers and kappa; `cells` are first * width + second of each unit that both judged."""
    names: tuple[Name, Name] = ("percent", "cohen_kappa")
    if not len(cells):
        none = [Coefficient(name, None, None, None, 0, 0, level, seed, 0, NOTHING_SHARED) for name in names]
        return none[0], none[1]
    rows = np.zeros((len(cells), width * width), dtype=np.int64)
    rows[np.arange(len(cells)), cells] = 1
    made, kinds, items = gathered(rows, item)
    each = made @ kinds
    whole = (items @ each).reshape(1, width, width)
    drawn = resampled_sums(each, items, seed).reshape(-1, width, width)
    n = int(items.sum())
    found = []
    for name, formula in zip(names, (_alike, _kappa), strict=True):
        value = float(formula(whole)[0])
        facts = (n, 2 * len(cells), level, seed)
        if math.isnan(value):
            found.append(Coefficient(name, None, None, None, *facts, 0, ONE_ANSWER))
        else:
            low, high, rounds, reason = spread(formula(drawn), n, level)
            found.append(Coefficient(name, value, low, high, *facts, rounds, reason))
    return found[0], found[1]


def _alike(cells: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.trace(cells, axis1=1, axis2=2) / cells.sum(axis=(1, 2)))


def _kappa(cells: NDArray[np.float64]) -> NDArray[np.float64]:
    """Cohen (1960); nan where both margins are one and the same category."""
    total = cells.sum(axis=(1, 2))
    total = np.where(total > 0, total, np.nan)
    chance = np.sum(cells.sum(axis=2) * cells.sum(axis=1), axis=1) / total**2
    left = 1 - chance
    with np.errstate(invalid="ignore"):
        there = left > 1e-12
    agreed = np.trace(cells, axis1=1, axis2=2) / total
    return np.where(there, (agreed - chance) / np.where(there, left, 1.0), np.nan)
