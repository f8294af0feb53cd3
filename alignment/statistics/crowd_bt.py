"""Scores of responses and reliabilities of annotators from their choices between two: the Crowd-BT model."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit, log_expit, logit

from alignment.statistics.ratings import Numbers

MOST_ITERATIONS = 1000
NEAR = 1e-6  # of the loss, relative: reliabilities are then known to three digits
SURE = 1e-9
SMALLEST = 1e-300
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


def crowd_bt(
    compared: Comparisons,
    *,
    weight: Array | None = None,
    start: CrowdBT | None = None,
    heed: Callable[[int, int], None] | None = None,
) -> CrowdBT:
    """Chen et al. (2013): P(k says i > j) = r_k sigma(s_i - s_j) + (1 - r_k) sigma(s_j - s_i), at its posterior mode.

    Scores have a standard normal prior, which also ties together what was never compared; reliabilities a Beta(10, 1)
    prior, which says that most people mean what they say: without it all could be turned round. `weight` is how often
    each comparison counts (once). With `start` the search begins there, and ends as soon as that is near enough for an
    interval. `heed(iteration, most)` is called after each iteration and may raise. Raises ValueError without
    comparisons.
    """
    if not len(compared.annotator):
        raise ValueError("there is nothing to learn from")
    count = int(max(compared.first.max(), compared.second.max())) + 1
    people = int(compared.annotator.max()) + 1
    if start is None:
        begun = np.concatenate([np.zeros(count), np.full(people, np.log(TRUST[0] / TRUST[1]))])
    else:
        begun = np.concatenate([start.scores, logit(np.clip(start.reliability, SURE, 1 - SURE))])
    done = 0

    def told(_: Array) -> None:
        nonlocal done
        done += 1
        if heed is not None:
            heed(done, MOST_ITERATIONS)

    found = minimize(
        _loss,
        begun,
        args=(compared, count, people, np.ones(len(compared.annotator)) if weight is None else weight),
        jac=True,
        method="L-BFGS-B",
        callback=told,
        options={
            "maxiter": MOST_ITERATIONS,
            "maxfun": 2 * MOST_ITERATIONS,
            "ftol": 1e-10 if start is None else NEAR,
            "gtol": 1e-6,
        },
    )
    return CrowdBT(found.x[:count], expit(found.x[count:]), int(found.nit), bool(found.success))


def _loss(at: Array, compared: Comparisons, count: int, people: int, weight: Array) -> tuple[float, Array]:
    """The negative log posterior and its gradient; a reliability is the sigmoid of its parameter."""
    scores, trust = at[:count], at[count:]
    trusted = expit(trust)
    p, r = expit(scores[compared.first] - scores[compared.second]), trusted[compared.annotator]
    won = np.maximum(r * p + (1 - r) * (1 - p), SMALLEST)
    lost = np.maximum(1 - won, SMALLEST)
    prior = TRUST[0] * log_expit(trust) + TRUST[1] * log_expit(-trust)  # of the parameter: Jacobian included
    choice = compared.first_won * np.log(won) + (1 - compared.first_won) * np.log(lost)
    total = weight @ choice + prior.sum() - np.sum(scores**2) / 2
    toward = weight * (compared.first_won / won - (1 - compared.first_won) / lost)
    by_margin = toward * (2 * r - 1) * p * (1 - p)
    by_trust = toward * (2 * p - 1) * r * (1 - r)
    gradient = np.bincount(compared.first, by_margin, count) - np.bincount(compared.second, by_margin, count) - scores
    learned = np.bincount(compared.annotator, by_trust, people)
    learned += TRUST[0] * (1 - trusted) - TRUST[1] * trusted
    return -float(total), -np.concatenate([gradient, learned])
