"""Circles: A beats B, B beats C, and C beats A, so that no order of the three explains what happened."""

import math
from itertools import combinations
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri
from scipy.stats import norm

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
MOST_NAMED: Final = 10
NO_TRIPLE: Final = "No three contestants have all met each other."


class Circle(NamedTuple):
    """Three contestants of which each has beaten the next, and the last the first.

    `p` is how probable rates as uneven as the least of the three would be if that pair were even, adjusted after Holm
    for all triples: small only where each of the three wins is beyond chance.
    """

    contestants: tuple[int, int, int]
    p: float


class Cycles(NamedTuple):
    """How many triples are circles, as observed, and between which shares the truth lies.

    `low` counts triples whose three pairs are all decided in a circle, `high` those that no decided pair rules out; all
    pairs' intervals hold together with probability `level`. By chance a quarter of triples of equals are circles.
    """

    share: float
    low: float
    high: float
    triples: int
    circles: list[Circle]
    level: float
    reason: str | None = None


def cycles(observed: Floats, prompts: NDArray[np.intp], *, level: float = 0.95) -> Cycles:
    """Circles among contestants whose score of row against column is `observed` (k, k), nan where two never met.

    `prompts` (k, k) are on how many prompts they met. A pair's interval is Wilson's with one trial a prompt, which
    holds whatever ties or several matches on a prompt do, at a level that Bonferroni leaves for all pairs.
    """
    size = len(observed)
    triples = np.array(list(combinations(range(size), 3)), dtype=np.intp).reshape(-1, 3)
    met = ~np.isnan(observed)
    if len(triples):
        first, second, third = triples.T
        triples = triples[met[first, second] & met[second, third] & met[first, third]]
    if not len(triples):
        return Cycles(math.nan, math.nan, math.nan, 0, [], level, NO_TRIPLE)
    pairs = int(met[np.triu_indices(size, 1)].sum())
    low, high = _wilson(observed, prompts, 1 - (1 - level) / pairs)
    seen = _turns(observed > 0.5, triples)
    sure = _turns(low > 0.5, triples)
    possible = _turns(high > 0.5, triples)
    share, least, most = (float(one.any(axis=0).mean()) for one in (seen, sure, possible))
    return Cycles(share, least, most, len(triples), _circles(observed, prompts, triples, seen), level)


def _turns(beats: Flags, triples: NDArray[np.intp]) -> Flags:
    """Whether each triple is a circle one way, and the other way round, (2, triples)."""
    first, second, third = triples.T
    onward = beats[first, second] & beats[second, third] & beats[third, first]
    back = beats[second, first] & beats[third, second] & beats[first, third]
    return np.stack([onward, back])


def _wilson(share: Floats, n: NDArray[np.intp], level: float) -> tuple[Floats, Floats]:
    tail = float(ndtri((1 + level) / 2))
    count = np.maximum(n, 1)
    middle = (share + tail**2 / (2 * count)) / (1 + tail**2 / count)
    reach = tail / (1 + tail**2 / count) * np.sqrt(share * (1 - share) / count + tail**2 / (4 * count**2))
    return middle - reach, middle + reach


def _circles(observed: Floats, prompts: NDArray[np.intp], triples: NDArray[np.intp], seen: Flags) -> list[Circle]:
    """The surest circles, each from one of its three on to whom it beat."""
    found = []
    for way, place in zip(*np.nonzero(seen), strict=True):
        first, second, third = (int(one) for one in triples[place])
        order = (first, second, third) if way == 0 else (first, third, second)
        wins = [(order[0], order[1]), (order[1], order[2]), (order[2], order[0])]
        z = min((observed[pair] - 0.5) * 2 * math.sqrt(prompts[pair]) for pair in wins)
        found.append((float(norm.sf(z)), order))
    found.sort()
    adjusted, largest = [], 0.0
    for place, (p, order) in enumerate(found[:MOST_NAMED]):  # Holm over all triples: most of them are no circles
        largest = max(largest, min(1.0, (len(triples) - place) * p))
        adjusted.append(Circle(order, largest))
    return adjusted
