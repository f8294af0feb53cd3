"""When an evaluation may stop: intervals and evidence that hold however often one looks at them.

A bet against "the mean is at most m" multiplies its stake by 1 + b (x - m) with every score x, where b was chosen
before x was seen. If the mean is at most m the stake is expected to shrink, and ever reaching 1 / alpha is at most as
probable as alpha (Ville 1939). The means that no bet has refuted are a confidence sequence (Waudby-Smith and Ramdas
2024, arXiv 2010.09686, section 4, with the bets of their eq. 26).
"""

import math
from collections.abc import Sequence
from typing import Final, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Scores = Sequence[float] | Floats
HALF: Final = 0.5
CAUTION: Final = 0.5  # the largest share of the stake that one score can cost
STEPS: Final = 24  # halvings of [0, 1] in search of a bound
MARGIN: Final = 0.05
NO_PROMPTS: Final = "No prompt has been decided yet."


class Stopping(NamedTuple):
    """What is known of a mean, and whether it is enough: bounds of `rate` that hold at every look together.

    `state`: "decided" when a half lies outside the bounds, "equal" when the bounds lie within `margin` of a half, else
    "open", which is also where the rate has left the bounds of earlier looks. `evidence` is the stake of the bets
    against a half: 20 refutes it at 95 %. `needed` is about how many more prompts would decide at the pace so far; nan
    where there is no pace.
    """

    state: Literal["decided", "equal", "open"]
    rate: float
    low: float
    high: float
    evidence: float
    needed: float
    prompts: int
    margin: float
    level: float
    reason: str | None = None


def stopping(scores: Scores, *, level: float = 0.95, margin: float = MARGIN) -> Stopping:
    """`scores` in [0, 1] are one for each prompt, the mean over its matches, in the order in which they came.

    Raises ValueError for a score outside [0, 1] or a level outside (0, 1).
    """
    every = np.asarray(scores, dtype=np.float64)
    if not ((every >= 0) & (every <= 1)).all() or not 0 < level < 1:
        raise ValueError("scores lie in [0, 1], and the level between 0 and 1")
    if not len(every):
        return Stopping("open", math.nan, 0.0, 1.0, 1.0, math.nan, 0, margin, level, NO_PROMPTS)
    low, high = bound(every, level), 1 - bound(1 - every, level)
    grown = max(float(log_stake(every, HALF, level)[-1]), float(log_stake(1 - every, HALF, level)[-1])) - math.log(2)
    state: Literal["decided", "equal", "open"] = "open"
    settled = low <= float(every.mean()) <= high  # what came early may have been luck, or have changed since
    if settled and (low > HALF or high < HALF):
        state = "decided"
    elif settled and low > HALF - margin and high < HALF + margin:
        state = "equal"
    pace = (grown + math.log(2)) / len(every)
    left = -math.log(1 - level) - grown
    needed = left / pace if state == "open" and pace > 0 else math.nan
    return Stopping(
        state, float(every.mean()), low, high, math.exp(min(grown, 700.0)), needed, len(every), margin, level
    )


def bound(scores: Floats, level: float) -> float:
    """The largest m for which a bet on more than m has ever turned half a stake into 1 / (1 - level); 0 if none has."""
    wanted = math.log(2) - math.log(1 - level)
    low, high = 0.0, 1.0
    bet = bets(scores, level)
    for _ in range(STEPS):  # a stake never grows with m
        middle = (low + high) / 2
        won = float(_grown(scores, middle, bet).max()) >= wanted
        low, high = (middle, high) if won else (low, middle)
    return low


def log_stake(scores: Floats, mean: float, level: float) -> Floats:
    """The logarithm of one stake after each score, (..., n), betting that the mean is above `mean`."""
    return _grown(scores, mean, bets(scores, level))


def bets(scores: Floats, level: float) -> Floats:
    """The share of the stake on each score, (..., n), before caution.

    The bet on a score knows only those before it: their mean and variance, begun at a half and a quarter.
    """
    n = np.arange(1, scores.shape[-1] + 1)
    middle = (HALF + np.cumsum(scores, axis=-1)) / (n + 1)
    variance = (0.25 + np.cumsum((scores - middle) ** 2, axis=-1)) / (n + 1)
    known = np.concatenate([np.full((*scores.shape[:-1], 1), 0.25), variance[..., :-1]], axis=-1)
    return np.asarray(np.sqrt(2 * math.log(2 / (1 - level)) / (known * n * np.log(n + 1))))


def _grown(scores: Floats, mean: float, bet: Floats) -> Floats:
    careful = np.minimum(bet, CAUTION / max(mean, 1e-12))
    return np.asarray(np.cumsum(np.log1p(careful * (scores - mean)), axis=-1))
