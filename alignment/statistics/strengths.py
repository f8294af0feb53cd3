"""Strengths of contestants from matches between them: Bradley-Terry, with ties as Davidson or Rao and Kupper have them.

Two contestants with strengths t_i and t_j, d = t_i - t_j, meet with these probabilities:

- `half` (Bradley and Terry 1952): i wins with sigma(d); a tie is half a win of each.
- `davidson` (Davidson 1970, eq. 2.2): i wins, ties, loses in proportion to exp(d/2), nu, exp(-d/2).
- `rao_kupper` (Rao and Kupper 1967, eq. 2.1): i wins with sigma(d - delta), loses with sigma(-d - delta), else a tie.

All three log-likelihoods are concave in the strengths and in log nu or delta, so Newton's method finds the maximum, for
all rounds of a bootstrap at once.
"""

import math
from typing import Final, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.special import expit, log_expit

TieModel = Literal["half", "davidson", "rao_kupper"]
Floats = NDArray[np.float64]
ITERATIONS: Final = 100
CLOSE: Final = 1e-10  # a Newton step this small has arrived
FURTHEST: Final = 2.0  # the largest change of a strength in one Newton step
ALWAYS: Final = 30.0  # log nu or delta where matches never end but in a tie
SLIGHT: Final = 1e-9  # of the matches: pulls strengths to each other where a bootstrap round leaves them free


class Counts(NamedTuple):
    """What every pair of contestants did: `first` and `second` (P,) are their places, first < second.

    `wins`, `ties`, `losses` are the first's, (..., P): any leading axes are rounds of a bootstrap.
    """

    contestants: int
    first: NDArray[np.intp]
    second: NDArray[np.intp]
    wins: Floats
    ties: Floats
    losses: Floats


class Fit(NamedTuple):
    """Maximum-likelihood strengths (..., contestants), mean 0, and how easily matches tie (...): 0 for `half`.

    `tie` is log nu of Davidson and delta of Rao and Kupper.
    """

    strengths: Floats
    tie: Floats
    model: TieModel


def fit(counts: Counts, model: TieModel = "half", start: Fit | None = None) -> Fit:
    """The strengths at which what happened is most probable, rounds side by side.

    Where strengths have no finite best value (see `separate`), they are as far apart as a pull of one billionth of the
    matches lets them be. Raises ValueError for an unknown model.
    """
    if model not in get_args(TieModel):
        raise ValueError(f"the tie model is {model!r}; it must be one of {', '.join(get_args(TieModel))}")
    rounds = counts.wins.shape[:-1]
    flat = counts._replace(
        wins=counts.wins.reshape(-1, counts.wins.shape[-1]),
        ties=counts.ties.reshape(-1, counts.ties.shape[-1]),
        losses=counts.losses.reshape(-1, counts.losses.shape[-1]),
    )
    number = len(flat.wins)
    values = np.zeros((number, counts.contestants + 1))
    if start is not None:
        values[:, :-1], values[:, -1] = start.strengths, start.tie
    elif model == "rao_kupper":
        values[:, -1] = 0.5
    tied, clear = flat.ties.sum(1), (flat.wins + flat.losses).sum(1)
    free = np.full(number, model != "half") & (tied > 0) & (clear > 0)
    if model != "half":  # where nothing, or everything, was a tie, no nu and no delta is the best
        values[~free, -1] = np.where(tied[~free] > 0, ALWAYS, -math.inf if model == "davidson" else 0.0)
    for _ in range(ITERATIONS):
        step = _newton(flat, model, values, free)
        values[:, :-1] += step[:, :-1]
        least = -0.5 * values[:, -1] if model == "rao_kupper" else -math.inf  # delta stays above 0
        values[:, -1] += np.where(free, np.maximum(step[:, -1], least), 0.0)
        if np.abs(step).max(initial=0) < CLOSE:
            break
    values[:, :-1] -= np.mean(values[:, :-1], axis=1, keepdims=True)
    tie = np.zeros(number) if model == "half" else values[:, -1]
    return Fit(values[:, :-1].reshape(*rounds, -1), tie.reshape(rounds), model)


def _newton(counts: Counts, model: TieModel, values: Floats, free: NDArray[np.bool_]) -> Floats:
    """The step from `values` (rounds, contestants + 1) towards the maximum."""
    first, second, size = counts.first, counts.second, counts.contestants
    apart = values[:, first] - values[:, second]
    by_gap, by_tie, gap_gap, gap_tie, tie_tie = _derivatives(counts, model, apart, values[:, -1:], free)
    pull = SLIGHT * (counts.wins + counts.ties + counts.losses).sum(1, keepdims=True) + 1e-300
    slope = np.zeros((len(values), size + 1))
    curve = np.zeros((len(values), size + 1, size + 1))
    everyone, pairs = np.arange(size), np.arange(len(first))
    sides = np.zeros((len(first), size))  # 1 for the first of a pair, -1 for the second
    sides[pairs, first], sides[pairs, second] = 1.0, -1.0
    slope[:, :size] = by_gap @ sides - pull * values[:, :size]
    slope[:, -1] = by_tie.sum(1)
    curve[:, first, second] = curve[:, second, first] = -gap_gap
    curve[:, everyone, everyone] = -curve[:, :size, :size].sum(2) - pull
    # Nothing changes when all strengths grow alike: bent down here, so that rounding does not drift along it.
    curve[:, :size, :size] -= (counts.wins + counts.ties + counts.losses).mean(1)[:, None, None]
    curve[:, :size, -1] = curve[:, -1, :size] = gap_tie @ sides
    curve[:, -1, -1] = np.where(free, tie_tie.sum(1), -1.0)
    slope[~free, -1] = 0.0
    curve[~free, -1, :size] = curve[~free, :size, -1] = 0.0
    step = np.asarray(-np.linalg.solve(curve, slope[..., None])[..., 0], dtype=np.float64)
    return np.asarray(step * np.minimum(1, FURTHEST / np.maximum(np.abs(step).max(1, keepdims=True), 1e-300)))


def _derivatives(
    counts: Counts, model: TieModel, apart: Floats, tie: Floats, free: NDArray[np.bool_]
) -> tuple[Floats, Floats, Floats, Floats, Floats]:
    """First and second derivatives of the log-likelihood of each pair by d and by log nu or delta, (rounds, P)."""
    wins, ties, losses = counts.wins, counts.ties, counts.losses
    if model == "half":
        up = expit(apart)
        none = np.zeros_like(apart)
        met = wins + ties + losses
        return wins + 0.5 * ties - met * up, none, -met * up * (1 - up), none, none
    if model == "davidson":
        win, draw, lose = probabilities(apart, tie, model)
        met = wins + ties + losses
        middle = 0.5 * (win - lose)
        return (
            0.5 * (wins - losses) - met * middle,
            ties - met * draw,
            -met * (0.25 * (win + lose) - middle**2),
            met * draw * middle,
            -met * draw * (1 - draw),
        )
    win, lose = expit(apart - tie), expit(-apart - tie)
    up, down = wins + ties, losses + ties
    grown = np.expm1(2 * np.where(free[:, None], tie, 1.0))
    held = up * (1 - win), down * (1 - lose)
    bent = up * win * (1 - win), down * lose * (1 - lose)
    return (
        held[0] - held[1],
        ties * (2 + 2 / grown) - held[0] - held[1],
        -bent[0] - bent[1],
        bent[0] - bent[1],
        -bent[0] - bent[1] - 4 * ties * (1 + grown) / grown**2,
    )


def probabilities(apart: Floats, tie: Floats | float, model: TieModel) -> tuple[Floats, Floats, Floats]:
    """How probable it is that the first of two, `apart` stronger, wins, ties and loses; without ties for `half`."""
    apart = np.asarray(apart, dtype=np.float64)
    if model == "half":
        return expit(apart), np.zeros_like(apart), expit(-apart)
    if model == "davidson":
        logits = np.stack([0.5 * apart, np.broadcast_to(tie, apart.shape), -0.5 * apart])
        shares = np.exp(logits - logits.max(0))
        win, draw, lose = shares / shares.sum(0)
        return win, draw, lose
    win, lose = expit(apart - tie), expit(-apart - tie)
    return win, np.maximum(0.0, 1 - win - lose), lose


def likelihood(counts: Counts, found: Fit) -> Floats:
    """The log-likelihood of what happened, (...); half a win of each for a tie of `half`."""
    apart = found.strengths[..., counts.first] - found.strengths[..., counts.second]
    if found.model == "half":
        wins = counts.wins + 0.5 * counts.ties
        losses = counts.losses + 0.5 * counts.ties
        return np.asarray((wins * log_expit(apart) + losses * log_expit(-apart)).sum(-1))
    shares = probabilities(apart, found.tie[..., None], found.model)
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = [
            np.where(count > 0, count * np.log(share), 0.0)
            for count, share in zip((counts.wins, counts.ties, counts.losses), shares, strict=True)
        ]
    return np.asarray(sum(term.sum(-1) for term in terms))


def separate(counts: Counts) -> list[list[int]]:
    """The groups of contestants that finite strengths exist for; one group when they exist for all.

    Strengths are finite and unique exactly when everyone can be reached from everyone along "did not lose every match
    against" (Ford 1957): whoever only won, or only met others of their group, has no strength beside the rest.
    """
    beat = (counts.wins + counts.ties) > 0
    lost = (counts.losses + counts.ties) > 0
    start = np.concatenate([counts.first[beat], counts.second[lost]])
    end = np.concatenate([counts.second[beat], counts.first[lost]])
    graph = coo_array((np.ones(len(start)), (start, end)), shape=(counts.contestants, counts.contestants))
    number, group = connected_components(graph, directed=True, connection="strong")
    return [np.flatnonzero(group == one).tolist() for one in range(number)]
