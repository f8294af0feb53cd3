"""Who can be trusted when nobody knows the truth: Dawid and Skene's model, fitted by EM."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from alignment.statistics.ratings import Ratings

TOLERANCE = 1e-6
MOST_ITERATIONS = 500
Array = NDArray[np.float64]


class DawidSkene(NamedTuple):
    """What EM found.

    `truth` is the probability of each category for each unit (units, categories), even where nobody judged it;
    `confusion` how probable each answer of an annotator is for each truth (annotators, truths, answers); `accuracy`
    the probability that an annotator's answer to a random unit is the truth; `prior` that of each category.
    """

    truth: Array
    confusion: Array
    accuracy: Array
    prior: Array
    iterations: int
    converged: bool


def dawid_skene(
    ratings: Ratings, *, smoothing: float = 1.0, heed: Callable[[int, int], None] | None = None
) -> DawidSkene:
    """Dawid and Skene (1979), begun with the shares of votes, until no probability moves by more than 1e-6.

    Each annotator has `smoothing` imaginary answers of every kind to every truth, without which few answers would
    make somebody infallible; with 0 it is the paper's maximum likelihood. `heed(iteration, most)` is called after
    each iteration and may raise. Raises ValueError without ratings.
    """
    if not len(ratings.unit):
        raise ValueError("there is nothing to learn from")
    width, people = len(ratings.categories), int(ratings.annotator.max()) + 1
    columns = ratings.annotator * width + ratings.category
    shape = (len(ratings.item), people * width)
    said = csr_array((np.ones(len(columns)), (ratings.unit, columns)), shape=shape)
    judged = np.bincount(ratings.unit, minlength=shape[0]) > 0
    counts = ratings.counts().astype(np.float64)
    truth = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    converged, iteration = False, 0
    prior, confusion = _learn(said, truth, judged, people, width, smoothing)
    while not converged and iteration < MOST_ITERATIONS:
        found = _infer(said, prior, confusion)
        converged = bool(np.abs(found - truth)[judged].max() < TOLERANCE)
        truth, iteration = found, iteration + 1
        prior, confusion = _learn(said, truth, judged, people, width, smoothing)
        if heed is not None:
            heed(iteration, MOST_ITERATIONS)
    accuracy = np.einsum("z,pzz->p", prior, confusion)
    return DawidSkene(truth, confusion, accuracy, prior, iteration, converged)


def _learn(
    said: csr_array, truth: Array, judged: NDArray[np.bool_], people: int, width: int, smoothing: float
) -> tuple[Array, Array]:
    """The M step: how often each truth is, and how often each annotator says what to it."""
    prior = truth[judged].mean(axis=0)
    answers = np.asarray(said.T @ truth).reshape(people, width, width).transpose(0, 2, 1)
    if smoothing:
        pooled = answers.sum(axis=0) + 1
        answers = answers + smoothing * width * pooled / pooled.sum(axis=1, keepdims=True)
    total = answers.sum(axis=2, keepdims=True)
    confusion = np.where(total > 0, answers / np.where(total > 0, total, 1), 1 / width)
    return prior, confusion


def _infer(said: csr_array, prior: Array, confusion: Array) -> Array:
    """The E step: the probability of each truth of each unit."""
    people, width, _ = confusion.shape
    with np.errstate(divide="ignore"):
        known = np.maximum(np.log(confusion), -1e9).transpose(0, 2, 1).reshape(people * width, width)
        likely = np.asarray(said @ known) + np.maximum(np.log(prior), -1e9)
    likely -= likely.max(axis=1, keepdims=True)
    weights = np.exp(likely)
    found: Array = weights / weights.sum(axis=1, keepdims=True)
    return found
