"""People's verdicts where they are worth most: which prompts to judge next, and a rate that stays true to the prompts.

Prompts stand in three strata, by what the judge said: lost, tied, won. Within a stratum people judge prompts by lot;
how many of each they judge may follow what is still in doubt (Neyman 1934), because each stratum counts as many
times as it has prompts. So the rate is unbiased whatever the judge says, and wherever people began.
"""

import math
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import chisquare, norm

from alignment.statistics.corrected import FEWEST_PEOPLE, TOO_FEW, Corrected, interval

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]
STRATA: Final = 3
FEWEST_EACH: Final = 5
"""So many prompts of a stratum are judged before its share of doubt is believed."""
RARE: Final = 0.001
UNEVEN: Final = "People have not judged enough of each: matches the judge calls won, tied and lost."


class Strata(NamedTuple):
    """By what the judge said, (3,): prompts, those that people judged, their mean, and the variance within.

    The variance is that with a win and a loss added: a few verdicts that are all alike leave doubt.
    """

    prompts: Counts
    people: Counts
    mean: Floats
    variance: Floats

    @property
    def share(self) -> Floats:
        """How much each counts."""
        return np.asarray(self.prompts / max(1, self.prompts.sum()))

    @property
    def filled(self) -> bool:
        """Whether people have judged enough of each."""
        return bool((self.people >= np.minimum(FEWEST_EACH, self.prompts)).all())


class Next(NamedTuple):
    """How far the interval reaches to each side now, and after `prompts` more: the most telling ones, or any by lot."""

    prompts: int
    now: float
    guided: float
    by_lot: float


def stratum(judge: Sequence[float] | Floats) -> NDArray[np.intp]:
    """0, 1 or 2: the judge says lost, tied or won; (n,) of scores."""
    return (1 + np.sign(np.asarray(judge, dtype=np.float64) - 0.5)).astype(np.intp)


def strata(
    people: Sequence[float] | Floats, judge: Sequence[float] | Floats, alone: Sequence[float] | Floats
) -> Strata:
    """`people` and `judge` on the same prompts, `alone` the judge's on those that no person judged."""
    said, own, rest = np.asarray(people, dtype=np.float64), stratum(judge), stratum(alone)
    number = np.bincount(own, minlength=STRATA)
    sums = np.bincount(own, weights=said, minlength=STRATA)
    mean = np.divide(sums, number, out=np.full(STRATA, 0.5), where=number > 0)
    squares = np.bincount(own, weights=said**2, minlength=STRATA)
    near = (sums + 1) / (number + 2)  # as with one more win and one more loss (Agresti and Coull 1998)
    variance = (squares + 1) / (number + 2) - near**2
    return Strata(number + np.bincount(rest, minlength=STRATA), number, mean, variance)


def stratified(
    people: Sequence[float] | Floats,
    judge: Sequence[float] | Floats,
    alone: Sequence[float] | Floats,
    *,
    level: float = 0.95,
) -> Corrected:
    """The win rate that people would give, from a sample whose strata may be judged unevenly.

    As `corrected.corrected`, but prompts need only be drawn by lot within what the judge called won, tied, or lost.
    `weight` is the share of people's variance that the judge's verdicts explain.
    """
    found = strata(people, judge, alone)
    n, every = len(people), np.concatenate([np.asarray(judge, dtype=np.float64), np.asarray(alone, dtype=np.float64)])
    told = Corrected(
        *(math.nan,) * 5,
        judge_alone=float(every.mean()) if len(every) else math.nan,
        people_alone=float(np.mean(people)) if n else math.nan,
        people=n, judged=len(alone), level=level,
    )  # fmt: skip
    if n < FEWEST_PEOPLE:
        return told._replace(reason=TOO_FEW)
    if not found.filled:
        return told._replace(reason=UNEVEN)
    rate, between, within = _parts(found)
    variance = _variance(found, found.people)
    low, high = interval(rate, variance, _degrees(found), level)
    return told._replace(
        rate=rate, low=low, high=high, weight=between / (between + within), effective=(between + within) / variance
    )


def uneven(found: Strata) -> bool:
    """Whether people judged more of one stratum than lots would, at odds of a thousand to one (chi-squared)."""
    asked, share = found.people[found.prompts > 0], found.share[found.prompts > 0]
    if len(asked) < 2 or not asked.sum():
        return False
    return bool(chisquare(asked, share * asked.sum()).pvalue < RARE)


def order(found: Strata, left: Counts, number: int) -> list[int]:
    """The strata that the next `number` prompts should come from, where `left` (3,) are still to be judged.

    Each time the one whose next verdict takes most from the variance; first those with too few to tell.
    """
    people, remaining, chosen = found.people.copy(), left.copy(), []
    for _ in range(min(number, int(left.sum()))):
        gain = found.share**2 * found.variance / np.maximum(people * (people + 1), 1)
        gain = np.where(people < FEWEST_EACH, 1 + 1 / (1 + people), gain)
        best = int(np.argmax(np.where(remaining > 0, gain, -1.0)))
        people[best] += 1
        remaining[best] -= 1
        chosen.append(best)
    return chosen


def outlook(found: Strata, left: Counts, number: int, level: float) -> Next | None:
    """What `number` more verdicts would do to the interval; None while there is none, or nothing is left to judge."""
    number = min(number, int(left.sum()))
    if not number or not found.filled or found.people.sum() < FEWEST_PEOPLE:
        return None
    guided = found.people + np.bincount(order(found, left, number), minlength=STRATA)
    by_lot = found.people + number * left / left.sum()
    reach = float(norm.ppf((1 + level) / 2))
    now, then, lot = (reach * math.sqrt(_variance(found, people)) for people in (found.people, guided, by_lot))
    return Next(number, now, then, lot)


def _parts(found: Strata) -> tuple[float, float, float]:
    """The rate, and the variance of people's verdicts between strata and within them."""
    rate = float(found.share @ found.mean)
    return rate, float(found.share @ (found.mean - rate) ** 2), float(found.share @ found.variance)


def _variance(found: Strata, people: "Counts | Floats") -> float:
    """Of the rate, were `people` (3,) prompts of each stratum judged."""
    each = np.where(found.prompts > 0, found.share**2 * found.variance / np.maximum(people, 1), 0.0)
    return float(each.sum()) + _parts(found)[1] / max(1, int(found.prompts.sum()))


def _degrees(found: Strata) -> int:
    """Satterthwaite's degrees of freedom."""
    own = found.people > 0
    each = (found.share**2 * found.variance / np.maximum(found.people, 1))[own]
    return max(2, int(each.sum() ** 2 / float((each**2 / (found.people[own] + 1)).sum())))
