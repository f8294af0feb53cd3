"""Win rates as they would be if both answers were equally long (Dubois et al. 2024, arXiv 2404.04475).

`published` is AlpacaEval 2's computation on its own 805 prompts, to the last digit that cross-validation leaves.
`refit` is the same idea for prompts of one's own, where nobody knows how difficult they are.
"""

import math
from typing import Final, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from alignment.statistics.logistic import fit
from alignment.statistics.resampling import FEWEST, NO_SPREAD, drawn_sums

Floats = NDArray[np.float64]
GAMED_WEIGHT: Final = 0.1  # half of the paper's lambda = 0.2, on each of the two baselines that gamed lengths
FOLDS: Final = 5
ROUNDS: Final = 1000
RIDGE: Final = 1.0
"""Of the effect of length in `refit`: one observation's worth of doubt that there is any."""
TRACE: Final = 1e-6  # of a contestant's own strength: keeps it finite where a round holds no match of it
NARROW: Final = 1e-9  # matches that are all ties leave rounding alone
EACH_WAY: Final = 0.15
"""Share of the matches with the longer, and with the shorter answer, below which equal lengths are too far away."""
UNKNOWN: Final = "No match whose answers' lengths are known has been decided yet."


class Annotated(NamedTuple):
    """A model's answers against the baseline's, by prompt (n,).

    `score` is how probable the model's win is, in [0, 1], nan where there is no judgment; lengths are characters.
    """

    score: Floats
    model_length: Floats
    baseline_length: Floats
    difficulty: Floats


class Gamed(NamedTuple):
    """What the benchmark adds to every fit: the baseline against itself told to be short, and to be wordy (m,)."""

    score: Floats
    gap: Floats
    difficulty: Floats


class Published(NamedTuple):
    """The length-controlled win rate in [0, 1], its standard error as published, and the three coefficients."""

    rate: float
    standard_error: float
    length: float
    difficulty: float
    model: float


def published(annotated: Annotated, gamed: Gamed) -> Published:
    """AlpacaEval 2's length-controlled win rate.

    The score is fitted by tanh of the length difference (in standard deviations), the prompt's difficulty and the
    model, without intercept, under an L1 penalty that five folds choose; then all lengths are set equal. The standard
    error is that of the mean of the predictions alone, as published: it knows nothing of the doubt in the fit.
    """
    from sklearn.linear_model import LogisticRegressionCV
    from sklearn.model_selection import GroupKFold

    gap = annotated.baseline_length - annotated.model_length
    known = ~np.isnan(annotated.score)
    own = np.column_stack([np.tanh(gap / gap.std(ddof=1)), annotated.difficulty, np.ones(len(gap))])[known]
    others = np.column_stack([np.tanh(gamed.gap), gamed.difficulty, np.zeros(len(gamed.gap))])
    features = np.concatenate([own, others])
    score = np.concatenate([annotated.score[known], gamed.score])
    weight = np.concatenate([np.ones(len(own)), np.full(len(others), GAMED_WEIGHT)])
    rows = np.arange(len(features))
    twice = np.concatenate([rows, rows])  # a score between 0 and 1 is a win and a loss, each as heavy as it is probable
    model = LogisticRegressionCV(
        l1_ratios=(1.0,), solver="liblinear", fit_intercept=False, random_state=123, scoring="neg_log_loss",
        cv=list(GroupKFold(FOLDS).split(features[twice], groups=twice)), use_legacy_attributes=False,
    )  # fmt: skip
    model.fit(
        features[twice],
        np.repeat([1, 0], len(rows)),
        sample_weight=np.concatenate([weight * score, weight * (1 - score)]),
    )
    length, difficulty, level = (float(one) for one in model.coef_.ravel())
    predicted = expit(level + difficulty * annotated.difficulty)
    error = float(predicted.std(ddof=1) / math.sqrt(len(predicted)))
    return Published(float(predicted.mean()), error, length, difficulty, level)


class Matches(NamedTuple):
    """Scored matches of contestants against one baseline, as columns (n,): `score` is the contestant's, in [0, 1]."""

    prompt: NDArray[np.intp]
    contestant: NDArray[np.intp]
    score: Floats
    length: Floats
    baseline_length: Floats


class Controlled(NamedTuple):
    """A win rate with all lengths set equal; beside it the raw one and how much longer the contestant answers.

    `effect` is the coefficient of length: above 0 the judge likes longer answers. Bounds are nan, and `reason` says
    why, where no interval can be had; so is everything where no rate can.
    """

    rate: float
    low: float
    high: float
    raw: float
    length_ratio: float
    effect: float
    n: int
    prompts: int
    level: float
    seed: int
    rounds: int
    method: Literal["percentile", "none"]
    reason: str | None = None


def refit(
    matches: Matches, contestants: int, *, level: float = 0.95, rounds: int = ROUNDS, seed: int = 0
) -> list[Controlled]:
    """One length-controlled win rate for each contestant, all fitted at once on one's own prompts.

    logit P(win) = theta(contestant) + phi tanh(length difference / its root mean square): the effect of length is the
    judge's, so it is one for all, with a slight ridge; the rate is sigma(theta). A contestant nearly all of whose
    answers are longer, or shorter, has none: equal lengths are beyond what was seen. Intervals draw prompts anew.
    Raises ValueError for a score outside [0, 1] or a level outside (0, 1).
    """
    if not ((matches.score >= 0) & (matches.score <= 1)).all() or not 0 < level < 1:
        raise ValueError("scores lie in [0, 1], and the level between 0 and 1")
    gap = matches.length - matches.baseline_length
    scale = math.sqrt(float((gap**2).mean())) if len(gap) else 0.0
    bent = np.tanh(gap / scale) if scale > 0 else np.zeros(len(gap))
    names, prompt = np.unique(matches.prompt, return_inverse=True)
    fitted = fit(_columns(matches, bent, contestants), matches.score, _ridge(contestants))
    again = _again(matches, bent, contestants, fitted, prompt, rounds, seed) if len(names) >= FEWEST else None
    return [_told(matches, one, fitted, again, level, seed) for one in range(contestants)]


def _columns(matches: Matches, bent: Floats, contestants: int) -> Floats:
    """What the fit knows of each match, (n, contestants + 1): whose it is, and the bent gap."""
    columns = np.zeros((len(bent), contestants + 1))
    columns[np.arange(len(bent)), matches.contestant] = 1.0
    columns[:, -1] = bent
    return columns


def _again(
    matches: Matches, bent: Floats, contestants: int, fitted: Floats, prompt: NDArray[np.intp], rounds: int, seed: int
) -> Floats:
    """The fit of each round that draws prompts anew, (rounds, contestants + 1): one Newton step from the whole fit.

    Slope and curvature of a round are sums over its prompts, so a round costs no pass over the matches.
    """
    columns = _columns(matches, bent, contestants)
    chance = expit(columns @ fitted)
    size = contestants + 1
    slope = columns * (matches.score - chance)[:, None]
    bend = (columns * (chance * (1 - chance))[:, None])[:, :, None] * columns[:, None, :]
    each = np.concatenate([slope, bend.reshape(len(bend), -1)], axis=1)
    prompts = int(prompt.max()) + 1
    sums = np.stack([np.bincount(prompt, weights=column, minlength=prompts) for column in each.T], axis=1)
    ridge = _ridge(contestants)
    drawn = drawn_sums(sums, np.ones(prompts, dtype=np.int64), rounds, np.random.default_rng(seed))
    bends = drawn[:, size:].reshape(-1, size, size) + np.diag(ridge)
    return np.asarray(fitted + np.linalg.solve(bends, (drawn[:, :size] - ridge * fitted)[..., None])[..., 0])


def _ridge(contestants: int) -> Floats:
    return np.array([TRACE] * contestants + [RIDGE])


def _told(
    matches: Matches, contestant: int, fitted: Floats, again: Floats | None, level: float, seed: int
) -> Controlled:
    own = matches.contestant == contestant
    score = matches.score[own]
    prompts = len(np.unique(matches.prompt[own]))
    told = Controlled(
        math.nan, math.nan, math.nan, math.nan, math.nan, float(fitted[-1]),
        len(score), prompts, level, seed, 0, "none", UNKNOWN,
    )  # fmt: skip
    if not len(score):
        return told
    base = float(matches.baseline_length[own].mean())
    told = told._replace(
        raw=float(score.mean()), length_ratio=float(matches.length[own].mean()) / base if base else math.nan
    )
    if score.max() == score.min() and score[0] in (0.0, 1.0):
        return told._replace(reason=f"It {'won' if score[0] else 'lost'} every match, so lengths explain nothing.")
    gap = matches.length[own] - matches.baseline_length[own]
    if min((gap >= 0).mean(), (gap <= 0).mean()) < EACH_WAY:
        words = "longer" if gap.mean() > 0 else "shorter"
        return told._replace(
            reason=f"Nearly all its answers are {words}: what equal lengths would give cannot be told."
        )
    told = told._replace(rate=float(expit(fitted[contestant])), reason=None)
    if again is None or prompts < FEWEST:
        return told._replace(reason=f"An interval needs {FEWEST} prompts; there are {prompts}.")
    spread = expit(again[:, contestant])
    if np.ptp(spread) < NARROW:
        return told._replace(reason=NO_SPREAD)
    low, high = np.quantile(spread, [(1 - level) / 2, (1 + level) / 2])
    return told._replace(
        low=min(float(low), told.rate), high=max(float(high), told.rate), rounds=len(again), method="percentile"
    )
