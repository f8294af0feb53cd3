"""A ranking of contestants with intervals, resampled by prompt, from any number of matches between them."""

from typing import Final, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from alignment.statistics.resampling import drawn_sums
from alignment.statistics.strengths import Counts, Fit, Floats, TieModel, fit, probabilities, separate

Places = NDArray[np.intp]
ROUNDS: Final = 1000
FEWEST_PROMPTS: Final = 10
"""Below so many prompts a bootstrap is too narrow to be shown."""
APART: Final = (
    "No ranking of all of them exists: some only won, only lost, or never met the others, even through others."
)
OPEN: Final = 10.0
"""Nats from the others beyond which a strength is one that only the slight pull of the fit keeps finite."""
CHUNK: Final = 8_000_000
"""Values that are held at once."""


class Met(NamedTuple):
    """Matches as columns (M,): places of the prompt and of the two contestants, and the first's score in [0, 1].

    A ranking asks for scores of 1, 0.5 and 0.
    """

    prompt: Places
    first: Places
    second: Places
    score: Floats


class Standing(NamedTuple):
    """One contestant: strength in nats against the anchor (or the mean), bounds, and the ranks that they allow.

    A bound is nan where `Ranking.reason` says why, or where nothing bounds it: in too many rounds of the bootstrap the
    contestant won, or lost, everything. `rank` is 1 for the strongest. `best` and `worst` are the bounds of
    the rank over the rounds of the bootstrap.
    """

    contestant: int
    strength: float
    low: float
    high: float
    rank: int
    best: int
    worst: int
    matches: int


class Ranking(NamedTuple):
    """Standings from the strongest on, with everything needed to read them.

    `observed` and `predicted` (contestants, contestants) are the score of the row against the column, ties as halves,
    nan where two never met; where the two differ much, no order of strengths explains what happened. `groups` has more
    than one entry where no ranking of all exists, and then there are no standings.
    """

    standings: list[Standing]
    groups: list[list[int]]
    tie: float
    model: TieModel
    observed: Floats
    predicted: Floats
    n: int
    prompts: int
    level: float
    seed: int
    rounds: int
    method: Literal["percentile", "none"]
    reason: str | None = None


def rank(
    met: Met,
    contestants: int,
    *,
    ties: TieModel = "half",
    anchor: int | None = None,
    level: float = 0.95,
    rounds: int = ROUNDS,
    seed: int = 0,
) -> Ranking:
    """Order `contestants` by their strengths; an interval is the spread over rounds that draw prompts anew.

    `anchor` has strength 0 in every round, so that intervals are those of differences from it; without one the mean is
    0. Raises ValueError for a score other than 1, 0.5 and 0, a contestant that there is not, or one that met itself.
    """
    if not 0 < level < 1:
        raise ValueError(f"level is {level}; it must lie between 0 and 1")
    _check(met, contestants, anchor)
    kinds, cells = _cells(met, contestants)
    counts = _counts(np.bincount(cells, minlength=3 * len(kinds)), kinds, contestants)
    observed, prompts, groups = _observed(counts), len(np.unique(met.prompt)), separate(counts)
    told = Ranking(
        standings=[],
        groups=groups,
        tie=0.0,
        model=ties,
        observed=observed,
        predicted=np.full_like(observed, np.nan),
        n=len(met.prompt),
        prompts=prompts,
        level=level,
        seed=seed,
        rounds=0,
        method="none",
    )
    if len(groups) > 1:
        return told._replace(reason=APART)
    found = fit(counts, ties)
    told = told._replace(tie=float(found.tie), predicted=_predicted(found))
    matches = np.bincount(np.concatenate([met.first, met.second]), minlength=contestants)
    strengths = _placed(found.strengths, anchor)
    if prompts < FEWEST_PROMPTS:
        why = f"Intervals need {FEWEST_PROMPTS} prompts; there are {prompts}."
        return told._replace(standings=_standings(strengths, None, level, matches), reason=why)
    spread = _placed(_resampled(met, cells, kinds, contestants, found, rounds, seed), anchor)
    standings = _standings(strengths, spread, level, matches)
    return told._replace(standings=standings, rounds=rounds, method="percentile")


def counted(met: Met, contestants: int) -> Counts:
    """What every pair that met did.  Raises ValueError as `rank` does."""
    _check(met, contestants, None)
    kinds, cells = _cells(met, contestants)
    return _counts(np.bincount(cells, minlength=3 * len(kinds)), kinds, contestants)


def _check(met: Met, contestants: int, anchor: int | None) -> None:
    if not np.isin(met.score, (0.0, 0.5, 1.0)).all():
        raise ValueError("every score must be 1, 0.5 or 0")
    places = np.concatenate([met.first, met.second, [anchor or 0]])
    if places.min() < 0 or places.max() >= contestants:
        raise ValueError(f"contestants have the places 0 to {contestants - 1}")
    if (met.first == met.second).any():
        raise ValueError("a contestant cannot meet itself")


def _cells(met: Met, contestants: int) -> tuple[Places, Places]:
    """The pairs that met, as lower * contestants + higher; of each match its pair and result, 3 * pair + 0, 1 or 2."""
    turned = met.first > met.second
    score = np.where(turned, 1 - met.score, met.score)
    key = np.where(turned, met.second * contestants + met.first, met.first * contestants + met.second)
    kinds, pair = np.unique(key, return_inverse=True)
    return kinds, 3 * pair + (2 - 2 * score).astype(np.intp)


def _counts(cells: NDArray[np.generic], kinds: Places, contestants: int) -> Counts:
    each = cells.reshape(*cells.shape[:-1], -1, 3).astype(np.float64)
    return Counts(contestants, kinds // contestants, kinds % contestants, each[..., 0], each[..., 1], each[..., 2])


def _resampled(met: Met, cells: Places, kinds: Places, contestants: int, found: Fit, rounds: int, seed: int) -> Floats:
    """Strengths (rounds, contestants) of data in which every prompt stands as often as it was drawn.

    Prompts on which the same happened are alike, and drawn by how many of them there are: the same in distribution, and
    with one match a prompt as cheap for a million matches as for a thousand.
    """
    rows = np.unique(met.prompt, return_inverse=True)[1]
    shape = (int(rows.max()) + 1, 3 * len(kinds))
    happened = csr_array((np.ones(len(rows)), (rows, cells)), shape=shape)
    happened.sum_duplicates()
    alike, times = _alike(happened)
    each = alike.toarray() if alike.shape[0] * alike.shape[1] <= CHUNK else alike
    drawn = drawn_sums(each, times, rounds, np.random.default_rng(seed))
    chunk = max(1, CHUNK // max(shape[1], contestants**2))
    strengths = [
        fit(_counts(drawn[at : at + chunk], kinds, contestants), found.model, found).strengths
        for at in range(0, rounds, chunk)
    ]
    return np.concatenate(strengths)


def _alike(happened: "csr_array") -> tuple["csr_array", NDArray[np.int64]]:
    """The distinct rows, and how often each stands there."""
    first: dict[bytes, int] = {}
    times: list[int] = []
    kept: list[int] = []
    happened.sort_indices()
    cells = np.stack([happened.indices, happened.data], axis=1).tobytes()
    bounds = (happened.indptr * (len(cells) // max(1, happened.nnz))).tolist()
    for row in range(happened.shape[0]):
        place = first.setdefault(cells[bounds[row] : bounds[row + 1]], len(times))
        if place == len(times):
            times.append(0)
            kept.append(row)
        times[place] += 1
    return happened[kept], np.asarray(times)


def _placed(strengths: Floats, anchor: int | None) -> Floats:
    """Strengths (..., contestants) against the anchor, or the mean of all that are finite; infinite where they are not.

    In a round of the bootstrap somebody may have won everything: how far they are ahead says nothing, and moves nobody
    else.
    """
    if anchor is None:
        middle = np.median(strengths, axis=-1, keepdims=True)
        near = np.abs(strengths - middle) <= OPEN
        zero = (strengths * near).sum(-1, keepdims=True) / near.sum(-1, keepdims=True)
    else:
        zero = strengths[..., anchor : anchor + 1]
    against = strengths - zero
    return np.asarray(np.where(np.abs(against) > OPEN, np.copysign(np.inf, against), against))


def _standings(strengths: Floats, spread: Floats | None, level: float, matches: Places) -> list[Standing]:
    nothing = np.full(len(strengths), np.nan)
    low = high = nothing
    ranks = _ranks(strengths[None])[0]
    best = worst = ranks
    if spread is not None:
        tails = [(1 - level) / 2, (1 + level) / 2]
        low, high = np.quantile(spread, tails, axis=0, method="closest_observation")
        low, high = np.minimum(low, strengths), np.maximum(high, strengths)
        low, high = (np.where(np.isinf(bound), np.nan, bound) for bound in (low, high))
        best, worst = np.quantile(_ranks(spread), tails, axis=0, method="closest_observation").astype(int)
        best, worst = np.minimum(best, ranks), np.maximum(worst, ranks)
    return [
        Standing(
            int(one), float(strengths[one]), float(low[one]), float(high[one]),
            int(ranks[one]), int(best[one]), int(worst[one]), int(matches[one]),
        )
        for one in np.argsort(-strengths, kind="stable")
    ]  # fmt: skip


def _ranks(strengths: Floats) -> Places:
    """1 for the strongest of each row; equal strengths share the better rank."""
    order = np.sort(-strengths, axis=1)
    return np.stack([np.searchsorted(row, -own, side="left") + 1 for row, own in zip(order, strengths, strict=True)])


def _observed(counts: Counts) -> Floats:
    table = np.full((counts.contestants, counts.contestants), np.nan)
    met = counts.wins + counts.ties + counts.losses
    table[counts.first, counts.second] = (counts.wins + 0.5 * counts.ties) / met
    table[counts.second, counts.first] = (counts.losses + 0.5 * counts.ties) / met
    return table


def _predicted(found: Fit) -> Floats:
    win, draw, _ = probabilities(found.strengths[:, None] - found.strengths[None], float(found.tie), found.model)
    table = win + 0.5 * draw
    np.fill_diagonal(table, np.nan)
    return table
