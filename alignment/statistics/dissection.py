"""What a judge likes: a logistic regression of its verdicts on what can be counted in the answers."""

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit
from scipy.stats import t

from alignment.statistics.intervals import Prompts
from alignment.statistics.logistic import covariance, fit
from alignment.statistics.means import Mean, mean
from alignment.statistics.win_rates import WinRate, rated

Floats = NDArray[np.float64]
RIDGE: Final = 1.0
"""Of every effect: one observation's worth of doubt that there is any."""
FOLDS: Final = 10
FEWEST_PROMPTS: Final = 30
FEWEST_DIFFERENT: Final = 10
"""On fewer prompts a property that differs says nothing, and is left out."""
TOO_FEW: Final = f"What a judge likes can be told from verdicts on {FEWEST_PROMPTS} prompts or more."
ALL_ALIKE: Final = "The answers differ in nothing that is counted."


class Liking(NamedTuple):
    """How a judge takes a property: `value` in log odds, above 0 where it likes more of it.

    `preferred` is how often it would prefer an answer that has more of it and is alike in all else. `differ` is on how
    many prompts answers differ in it.
    """

    name: str
    value: float
    low: float
    high: float
    preferred: float
    differ: int


class Dissection(NamedTuple):
    """Likings, the strongest first; how often they foretell a verdict on prompts they were not fitted on, beside how
    often "the one with more of the first property" does, and the difference of both. Without likings `reason` says why.
    """

    likings: list[Liking]
    foretold: WinRate | None
    baseline: WinRate | None
    gain: Mean | None
    n: int
    prompts: int
    level: float
    seed: int
    reason: str | None = None


def dissect(
    prompts: Prompts, differences: Floats, score: Floats, names: Sequence[str], *,
    level: float = 0.95, seed: int = 0,
) -> Dissection:  # fmt: skip
    """Verdicts (n,) explained by which answer has more of each property, (n, properties): only the sign counts.

    There is no intercept, so that nothing changes when both sides are exchanged; a score of a half is half a win of
    each. Intervals are Wald's from the spread over prompts. The baseline is the first of `names`.
    """
    group = np.unique(np.asarray(prompts), return_inverse=True)[1]
    number = int(group.max(initial=-1)) + 1
    told = Dissection([], None, None, None, len(score), number, level, seed)
    if number < FEWEST_PROMPTS:
        return told._replace(reason=TOO_FEW)
    signs = np.sign(differences)
    differ = np.array([len(np.unique(group[column != 0])) for column in signs.T])
    kept = np.flatnonzero(differ >= FEWEST_DIFFERENT)
    if not len(kept):
        return told._replace(reason=ALL_ALIKE)
    columns, ridge = signs[:, kept], np.full(len(kept), RIDGE)
    values = fit(columns, score, ridge)
    error = np.sqrt(np.diag(covariance(columns, score, values, ridge, group)))
    error *= t.ppf((1 + level) / 2, number - 1)
    likings = [
        Liking(names[int(place)], float(value), float(value - reach), float(value + reach), float(expit(value)),
               int(differ[place]))
        for place, value, reach in zip(kept, values, error, strict=True)
    ]  # fmt: skip
    clear = np.flatnonzero(score != 0.5)
    hits = _hits(_foretold(columns, score, ridge, group, seed), score)[clear]
    base = _hits(signs[:, 0], score)[clear]
    where = group[clear]
    return told._replace(
        likings=sorted(likings, key=lambda one: -abs(one.value)),
        foretold=_rate(where, hits, level, seed),
        baseline=_rate(where, base, level, seed),
        gain=mean(where, hits - base, level=level, seed=seed),
    )


def _foretold(columns: Floats, score: Floats, ridge: Floats, group: NDArray[np.intp], seed: int) -> Floats:
    """The log odds of each verdict from a fit on the prompts of the other folds."""
    fold = np.random.default_rng(seed).permutation(int(group.max()) + 1)[group] % FOLDS
    found = np.zeros(len(score))
    for one in range(FOLDS):
        left = fold != one
        found[~left] = columns[~left] @ fit(columns[left], score[left], ridge)
    return found


def _hits(lean: Floats, score: Floats) -> Floats:
    """1 where the side that `lean` favors won, 0 where it lost, a half where it favors none."""
    return np.where(np.abs(lean) < 1e-12, 0.5, ((lean > 0) == (score > 0.5)).astype(np.float64))


def _rate(prompts: NDArray[np.intp], hits: Floats, level: float, seed: int) -> WinRate | None:
    return rated(prompts, hits, level=level, seed=seed) if len(hits) else None
