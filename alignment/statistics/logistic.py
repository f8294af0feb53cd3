"""Logistic regression of scores between 0 and 1 with a ridge, and its doubt where rows of a prompt hang together."""

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.special import expit

Floats = NDArray[np.float64]
ITERATIONS: Final = 50
CLOSE: Final = 1e-9  # a Newton step this small has arrived
FURTHEST: Final = 2.0  # the largest change of a coefficient in one step


def fit(columns: Floats, score: Floats, ridge: Floats) -> Floats:
    """The coefficients (k,) of `columns` (n, k) at which `score` (n,) is most probable, less half of ridge times their
    squares; no intercept. A column without any spread needs a ridge above 0.
    """
    values = np.zeros(columns.shape[1])
    for _ in range(ITERATIONS):
        chance = expit(columns @ values)
        slope = columns.T @ (score - chance) - ridge * values
        step = np.linalg.solve(_bend(columns, chance, ridge), slope)
        values += np.clip(step, -FURTHEST, FURTHEST)
        if np.abs(step).max(initial=0) < CLOSE:
            break
    return values


def covariance(columns: Floats, score: Floats, values: Floats, ridge: Floats, group: NDArray[np.intp]) -> Floats:
    """The covariance (k, k) of fitted `values` where rows of one `group`, numbered from 0, are not independent.

    The sandwich over groups (Liang and Zeger 1986, eq. 8), times groups / (groups - 1).
    """
    chance = expit(columns @ values)
    groups = int(group.max()) + 1
    rows = np.arange(len(group))
    member = csr_array((np.ones(len(group)), (group, rows)), shape=(groups, len(group)))
    each = member @ (columns * (score - chance)[:, None])
    each -= each.mean(axis=0)
    bread = np.linalg.inv(_bend(columns, chance, ridge))
    return np.asarray(bread @ (each.T @ each) @ bread * (groups / (groups - 1)))


def _bend(columns: Floats, chance: Floats, ridge: Floats) -> Floats:
    return np.asarray((columns * (chance * (1 - chance))[:, None]).T @ columns + np.diag(ridge))
