"""Scores of responses and reliabilities of annotators from their choices between two: the Crowd-BT model."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit, log_expit

from alignment.statistics.ratings import Numbers

MOST_ITERATIONS = 1000
TRUST = (10.0, 1.0)  # the Beta prior on reliabilities: nine right answers more than wrong ones
Array = NDArray[np.float64]


class Comparisons(NamedTuple):
    """One entry for each judgement of two responses: who, which two, and whether the first was better.

    `first_won` is 1, 0, or a half for a tie, which counts as half a choice of either.
    """

    annotator: Numbers
    first: Numbers
    second: Numbers
    first_won: Array


class CrowdBT(NamedTuple):
    """`scores` of responses (higher is better, 0 in the mean of the prior) and `reliability` of annotators.

    A reliability is the probability that an annotator answers as the scores would: 1 always, a half by a coin.
    """

    scores: Array
    reliability: Array
    iterations: int
    converged: bool


def crowd_bt(compared: Comparisons, *, heed: Callable[[int, int], None] | None = None) -> CrowdBT:
    """Chen et al. (2013): P(k says i > j) = r_k sigma(s_i - s_j) + (1 - r_k) sigma(s_j - s_i), at its posterior mode.

    Scores have a standard normal prior, which also ties together what was never compared; reliabilities a Beta(10, 1)
    prior, which says that most people mean what they say: without it all could be turned round. `heed(iteration,
    most)` is called after each iteration and may raise. Raises ValueError without comparisons.
    """
    if not len(compared.annotator):
        raise ValueError("there is nothing to learn from")
    count = int(max(compared.first.max(), compared.second.max())) + 1
    people = int(compared.annotator.max()) + 1
    start = np.concatenate([np.zeros(count), np.full(people, np.log(TRUST[0] / TRUST[1]))])
    done = 0

    def told(_: Array) -> None:
        nonlocal done
        done += 1
        if heed is not None:
            heed(done, MOST_ITERATIONS)

    found = minimize(
        _loss,
        start,
        args=(compared, count, people),
        jac=True,
        method="L-BFGS-B",
        callback=told,
        options={"maxiter": MOST_ITERATIONS, "maxfun": 2 * MOST_ITERATIONS, "ftol": 1e-10, "gtol": 1e-6},
    )
    return CrowdBT(found.x[:count], expit(found.x[count:]), int(found.nit), bool(found.success))


def _loss(at: Array, compared: Comparisons, count: int, people: int) -> tuple[float, Array]:
    """The negative log posterior and its gradient; a reliability is the sigmoid of its parameter."""
    scores, trust = at[:count], at[count:]
    margin = scores[compared.first] - scores[compared.second]
    mine = trust[compared.annotator]
    known, unknown = log_expit(mine), log_expit(-mine)
    won = np.logaddexp(known + log_expit(margin), unknown + log_expit(-margin))
    lost = np.logaddexp(known + log_expit(-margin), unknown + log_expit(margin))
    prior = TRUST[0] * log_expit(trust) + TRUST[1] * log_expit(-trust)  # of the parameter: Jacobian included
    total = np.sum(compared.first_won * won + (1 - compared.first_won) * lost) + prior.sum() - np.sum(scores**2) / 2
    r, p = expit(mine), expit(margin)
    toward = compared.first_won * np.exp(-won) - (1 - compared.first_won) * np.exp(-lost)
    by_margin = toward * (2 * r - 1) * p * (1 - p)
    by_trust = toward * (2 * p - 1) * r * (1 - r)
    gradient = np.bincount(compared.first, by_margin, count) - np.bincount(compared.second, by_margin, count) - scores
    learned = np.bincount(compared.annotator, by_trust, people)
    learned += TRUST[0] * expit(-trust) - TRUST[1] * expit(trust)
    return -float(total), -np.concatenate([gradient, learned])
