"""A ranking as it would be if all answers had the same style: length, headings, bold and lists set equal."""

import math
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t

from alignment.statistics.logistic import covariance, fit
from alignment.statistics.ranking import APART, Met, Standing, counted
from alignment.statistics.resampling import FEWEST
from alignment.statistics.strengths import separate

Floats = NDArray[np.float64]
RIDGE: Final = 1.0
"""Of each effect of style: one observation's worth of doubt that there is any."""
TRACE: Final = 1e-6  # of a strength: keeps it finite


class Effect(NamedTuple):
    """What one more standard deviation of a style is worth, in nats; bounds are nan where no interval can be had, and
    everything is where no two answers that met differ in it.
    """

    name: str
    value: float
    low: float
    high: float


class Styled(NamedTuple):
    """Standings at equal style, from the strongest on, and the effects of style; without standings `reason` says why.

    `best` and `worst` of a standing are the ranks that the intervals of differences allow.
    """

    standings: list[Standing]
    effects: list[Effect]
    n: int
    prompts: int
    level: float
    reason: str | None = None


def styled(
    met: Met, contestants: int, gaps: Floats, names: Sequence[str], *, anchor: int = 0, level: float = 0.95
) -> Styled:
    """Bradley-Terry strengths beside the effects of style, fitted at once (Chatbot Arena 2024, "Does style matter?").

    `gaps` (M, styles) is the first's style less the second's, as `features.shares` gives it; each is divided by its
    root mean square, so an effect is that of an ordinary difference. `anchor` has strength 0. Intervals are Wald's,
    from the spread over prompts. Raises ValueError as `ranking.rank` does.
    """
    counts = counted(met, contestants)
    prompts, group = np.unique(met.prompt, return_inverse=True)
    told = Styled([], [], len(met.prompt), len(prompts), level)
    if len(separate(counts)) > 1:
        return told._replace(reason=APART)
    scale = np.sqrt((gaps**2).mean(axis=0))
    columns = np.zeros((len(gaps), contestants + len(names)))
    rows = np.arange(len(gaps))
    columns[rows, met.first], columns[rows, met.second] = 1.0, -1.0
    columns[:, anchor] = 0.0
    columns[:, contestants:] = gaps / np.where(scale > 0, scale, 1.0)
    ridge = np.array([TRACE] * contestants + [RIDGE] * len(names))
    ridge[anchor] = 1.0
    values = fit(columns, met.score, ridge)
    enough = len(prompts) >= FEWEST
    doubt = covariance(columns, met.score, values, ridge, group) if enough else np.full((len(values),) * 2, np.nan)
    reach = float(t.ppf((1 + level) / 2, max(1, len(prompts) - 1)))
    error = reach * np.sqrt(np.diag(doubt))
    effects = [
        Effect(name, *(_bounds(values, error, contestants + place) if scale[place] > 0 else (math.nan,) * 3))
        for place, name in enumerate(names)
    ]
    why = None if enough else f"Intervals need {FEWEST} prompts; there are {len(prompts)}."
    return told._replace(
        standings=_standings(met, values[:contestants], error, _apart(doubt, reach, contestants)),
        effects=effects,
        reason=why,
    )


def _bounds(values: Floats, error: Floats, place: int) -> tuple[float, float, float]:
    return float(values[place]), float(values[place] - error[place]), float(values[place] + error[place])


def _apart(doubt: Floats, reach: float, contestants: int) -> Floats:
    """How far apart two strengths must be to differ, (contestants, contestants); nan where nobody knows."""
    own = doubt[:contestants, :contestants]
    spread = np.diag(own)[:, None] + np.diag(own)[None] - 2 * own
    return np.asarray(reach * np.sqrt(np.maximum(spread, 0.0)))


def _standings(met: Met, strengths: Floats, error: Floats, apart: Floats) -> list[Standing]:
    gaps = strengths[:, None] - strengths[None]
    ranks = 1 + (gaps < 0).sum(1)
    unknown = np.isnan(apart)
    best = 1 + ((-gaps > apart) & ~unknown).sum(1)
    worst = len(strengths) - ((gaps > apart) & ~unknown).sum(1)
    matches = np.bincount(np.concatenate([met.first, met.second]), minlength=len(strengths))
    return [
        Standing(
            int(one), *_bounds(strengths, error, one), int(ranks[one]), int(best[one]), int(worst[one]),
            int(matches[one]),
        )
        for one in np.argsort(-strengths, kind="stable")
    ]  # fmt: skip
