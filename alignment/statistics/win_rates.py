"""How often one side wins, with an interval whose resampling unit is the prompt."""

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from alignment.statistics.intervals import Clusters, Interval, Method, Prompts, cluster, numbered, resampled, wilson
from alignment.statistics.resampling import FEWEST

Ties = Literal["half", "drop", "shown"]
NO_MATCHES = "No match has been decided yet."
ONLY_TIES = "Every match was a tie, and ties are dropped."


class Outcome(NamedTuple):
    """One decided match: 1 is won, 0 lost, 0.5 a tie; between them when several verdicts were averaged."""

    prompt: str
    score: float


class WinRate(NamedTuple):
    """A win rate with everything needed to read it.

    `rate` is nan, and `reason` says why, when there is nothing to count. `n` counts matches, `prompts` the
    independent units; `wins + ties + losses == n` whatever the tie rule does with them.
    """

    rate: float
    low: float
    high: float
    n: int
    prompts: int
    wins: int
    ties: int
    losses: int
    tie_rule: Ties
    level: float
    seed: int
    method: Method
    reason: str | None = None


def win_rate(outcomes: Sequence[Outcome], *, ties: Ties = "half", level: float = 0.95, seed: int = 0) -> WinRate:
    """The share of matches won, in [0, 1]: `rated`, of outcomes one by one."""
    score = np.array([outcome.score for outcome in outcomes], dtype=np.float64)
    return rated([outcome.prompt for outcome in outcomes], score, ties=ties, level=level, seed=seed)


def rated(
    prompts: Prompts, score: NDArray[np.float64], *, ties: Ties = "half", level: float = 0.95, seed: int = 0
) -> WinRate:
    """The share of matches won, in [0, 1], of columns (n,).

    `ties`: "half" counts a tie as half a win, "drop" leaves ties out, "shown" counts them as not won, to be read
    beside the tie share. The interval is Wilson's where every match is a clear win or loss on its own prompt, else a
    bootstrap over prompts; with fewer than ten prompts, or when all prompts agree, a bootstrap would be too narrow
    and Wilson's interval with one trial a prompt stands in. Raises ValueError for a score outside [0, 1], an
    unknown tie rule or a level outside (0, 1).
    """
    _check(score, ties, level)
    wins, losses = int((score > 0.5).sum()), int((score < 0.5).sum())
    tied = len(score) - wins - losses
    counted = np.ones(len(score), dtype=np.bool_) if ties != "drop" else score != 0.5
    scores = (score[counted] > 0.5).astype(np.float64) if ties == "shown" else score[counted]
    places = prompts if isinstance(prompts, np.ndarray) else numbered(prompts)
    clusters = cluster(places[counted], scores)
    facts = (len(score), len(clusters.sums), wins, tied, losses, ties, level, seed)
    if not len(scores):
        return WinRate(math.nan, math.nan, math.nan, *facts, "none", ONLY_TIES if len(score) else NO_MATCHES)
    rate = math.fsum(scores.tolist()) / len(scores)
    found = _interval(clusters, scores, rate, level, seed)
    return WinRate(rate, min(found.low, rate), max(found.high, rate), *facts, found.method)


def _interval(clusters: Clusters, scores: NDArray[np.float64], rate: float, level: float, seed: int) -> Interval:
    distinct = len(clusters.sums)
    if distinct == len(scores) and np.isin(scores, (0.0, 1.0)).all():
        return wilson(math.fsum(scores.tolist()), distinct, level)
    found = resampled(clusters, level, seed) if distinct >= FEWEST else None
    return found or wilson(rate * distinct, distinct, level, "wilson_prompts")


def _check(scores: NDArray[np.float64], ties: Ties, level: float) -> None:
    if ties not in get_args(Ties):
        raise ValueError(f"ties is {ties!r}; it must be one of {', '.join(get_args(Ties))}")
    if not 0 < level < 1:
        raise ValueError(f"level is {level}; it must lie between 0 and 1")
    beyond = scores[~((scores >= 0) & (scores <= 1))]
    if len(beyond):
        raise ValueError(f"score is {beyond[0]}; it must lie in [0, 1]")
