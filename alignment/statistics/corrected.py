"""A judge's win rate, corrected by people: cheap verdicts on many prompts, people's on some of them.

Prediction-powered inference (Angelopoulos et al. 2023, arXiv 2301.09633) with the weight that makes it best (PPI++,
Angelopoulos et al. 2023, arXiv 2311.01453, section 6): unbiased however wrong the judge is, and no wider than people
alone as the number of prompts grows.
"""

import math
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit
from scipy.stats import t

from alignment.statistics.resampling import FEWEST

Floats = NDArray[np.float64]
Scores = Sequence[float] | Floats
FEWEST_PEOPLE: Final = 20
"""Below so many prompts an interval of people's verdicts promises more than it holds; the tests measure it."""
TOO_FEW: Final = f"It needs people's verdicts on {FEWEST_PEOPLE} prompts."
NO_DOUBT: Final = "The judge said what people said, and one thing everywhere else: that leaves nothing to reckon from."
ALL_ALIKE: Final = "People judged all prompts alike; an interval needs some that differ."


class Corrected(NamedTuple):
    """The corrected win rate in [0, 1] with its interval.

    `weight` is how far the judge is trusted (0: not at all, 1: fully). `effective` is on how many prompts people would
    have to judge for as narrow an interval by themselves. `judge_alone` and `people_alone` stand beside it. Everything
    is nan, and `reason` says why, where too little is known.
    """

    rate: float
    low: float
    high: float
    weight: float
    effective: float
    judge_alone: float
    people_alone: float
    people: int
    judged: int
    level: float
    reason: str | None = None


def corrected(people: Scores, judge: Scores, alone: Scores, *, level: float = 0.95) -> Corrected:
    """The win rate that people would give.

    One score in [0, 1] for each prompt, the mean over its matches: `people` and `judge` on the same prompts in the same
    order, `alone` the judge's on prompts that no person judged, drawn like the others; where those are fewer than ten,
    people's verdicts count alone. Raises ValueError for unequal
    lengths, scores outside [0, 1], or a level outside (0, 1).
    """
    said, guessed, others = (np.asarray(one, dtype=np.float64) for one in (people, judge, alone))
    every = np.concatenate([said, guessed, others])
    if len(said) != len(guessed) or not 0 < level < 1 or not ((every >= 0) & (every <= 1)).all():
        raise ValueError("people and judge have a score in [0, 1] for the same prompts, and the level lies in (0, 1)")
    told = Corrected(
        math.nan,
        math.nan,
        math.nan,
        math.nan,
        math.nan,
        judge_alone=float(np.concatenate([guessed, others]).mean()) if len(every) > len(said) else math.nan,
        people_alone=float(said.mean()) if len(said) else math.nan,
        people=len(said),
        judged=len(others),
        level=level,
    )
    if len(said) < FEWEST_PEOPLE:
        return told._replace(reason=TOO_FEW)
    spread = float(said.var(ddof=1))
    if spread == 0:
        return told._replace(reason=ALL_ALIKE)
    weight = _weight(said, guessed, others) if len(others) >= FEWEST else 0.0
    left = said - weight * guessed
    rate, variance = float(left.mean()), float(left.var(ddof=1)) / len(said)
    if weight > 0:
        rate += float(weight * others.mean())
        variance += weight**2 * float(others.var(ddof=1)) / len(others)
    if variance == 0:
        return told._replace(reason=NO_DOUBT)
    low, high = interval(rate, variance, len(said) - 1, level)
    rate = min(max(rate, 0.0), 1.0)
    return told._replace(rate=rate, low=low, high=high, weight=weight, effective=spread / variance)


def _weight(said: Floats, guessed: Floats, others: Floats) -> float:
    """The weight of the judge with the least variance, within [0, 1]; 0 for a judge that always says the same."""
    spread = float(np.concatenate([guessed, others]).var(ddof=1))
    if spread == 0:
        return 0.0
    together = float(np.cov(said, guessed)[0, 1])
    return min(1.0, max(0.0, together / (spread * (1 + len(said) / len(others)))))


def interval(rate: float, variance: float, degrees: int, level: float) -> tuple[float, float]:
    """Student's interval, on the scale of log odds where the rate allows it, so that it stays within [0, 1]."""
    reach = float(t.ppf((1 + level) / 2, degrees)) * math.sqrt(variance)
    if not 0.02 < rate < 0.98:
        return max(0.0, rate - reach), min(1.0, rate + reach)
    middle, bent = float(logit(rate)), reach / (rate * (1 - rate))
    return float(expit(middle - bent)), float(expit(middle + bent))
