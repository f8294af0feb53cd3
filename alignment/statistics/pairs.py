"""Win rates of every pair of contestants that met."""

from typing import NamedTuple

import numpy as np

from alignment.statistics.ranking import Met
from alignment.statistics.win_rates import Ties, WinRate, rated


class PairRate(NamedTuple):
    """How `first` did against `second`, by their places."""

    first: int
    second: int
    win_rate: WinRate


def by_pair(met: Met, contestants: int, *, ties: Ties = "half", level: float = 0.95, seed: int = 0) -> list[PairRate]:
    """One row for each pair of contestants, in their order, whether it met or not; scores lie in [0, 1].

    The earlier contestant of a pair is the baseline: the row tells how the later one did against it. A match
    counts for its pair whichever side was written first. Raises ValueError for a match of a stranger.
    """
    later, earlier = np.maximum(met.first, met.second), np.minimum(met.first, met.second)
    if ((earlier < 0) | (later >= contestants) | (earlier == later)).any():
        raise ValueError("Some that met are not two of the contestants")
    score = np.where(met.first == later, met.score, 1 - met.score)
    pair = (later * contestants + earlier).astype(np.min_scalar_type(contestants**2))
    order = np.argsort(pair, kind="stable")
    bounds = np.searchsorted(pair[order], np.arange(contestants**2 + 1))
    found = []
    for first in range(contestants):
        for second in range(first):
            one = first * contestants + second
            own = order[bounds[one] : bounds[one + 1]]
            found.append(PairRate(first, second, rated(met.prompt[own], score[own], ties=ties, level=level, seed=seed)))
    return found
