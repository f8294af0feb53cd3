"""How surely it is known whom to trust: both models of reliability fitted again to items that are drawn anew.

Whole items are drawn with replacement. An item drawn twice counts twice and is no more certain for it, so a sample is
a weight for each item; every fit begins where that of all items has ended, which also keeps the same side up.
"""

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from alignment.statistics.crowd_bt import Comparisons, CrowdBT, crowd_bt
from alignment.statistics.dawid_skene import DawidSkene
from alignment.statistics.ratings import Numbers, Ratings
from alignment.statistics.resampling import Spread, spread

MOST_ROUNDS, FEWEST_ROUNDS = 200, 100
WORK = 10_000_000  # judgements that are read for one interval
STILL = 1e-4  # an accuracy that moves by less is known well enough for an interval
MOST_ITERATIONS = 100
BESIDE = "Samples of these items lie on one side of what all of them say, so they cannot tell how sure it is."
AT_ONCE = 2_000_000  # probabilities of truths that are held for one batch of rounds
Array = NDArray[np.float64]
Heed = Callable[[int, int], None]


def rounds_for(judgements: int) -> int:
    """How many rounds are drawn."""
    return max(FEWEST_ROUNDS, min(MOST_ROUNDS, WORK // max(judgements, 1)))


def accuracies(
    ratings: Ratings, fit: DawidSkene, *, seed: int, smoothing: float = 1.0, heed: Heed | None = None
) -> Array:
    """Of each round and annotator the accuracy by Dawid and Skene's model (rounds, annotators); nan for somebody none
    of whose items were drawn. `heed(rounds done, of how many)` is called again and again and may raise."""
    judged, unit = np.unique(ratings.unit, return_inverse=True)
    width, people = len(ratings.categories), fit.accuracy.shape[0]
    columns = ratings.annotator * width + ratings.category
    said = csr_array((np.ones(len(unit)), (unit, columns)), shape=(len(judged), people * width))
    rounds, found = rounds_for(len(unit)), list[Array]()
    batch = max(1, min(rounds, AT_ONCE // (len(judged) * width)))
    for weight in _weights(ratings.item[judged], rounds, batch, seed):
        found.append(_accuracies(said, fit.truth[judged], weight, people, smoothing))
        there = np.asarray(said.T @ weight).reshape(people, width, -1).sum(axis=1).T > 0
        found[-1][~there] = np.nan
        if heed is not None:
            heed(sum(map(len, found)), rounds)
    return np.concatenate(found)


def reliabilities(compared: Comparisons, item: Numbers, fit: CrowdBT, *, seed: int, heed: Heed | None = None) -> Array:
    """Of each round and annotator the reliability by Crowd-BT (rounds, annotators), nan as above; `item` says of each
    comparison which item it belongs to."""
    people, rounds = len(fit.reliability), rounds_for(len(item))
    found = np.empty((rounds, people))
    for number, (weight,) in enumerate(one.T for one in _weights(item, rounds, 1, seed)):
        again = crowd_bt(compared, weight=weight, start=fit)
        there = np.bincount(compared.annotator, weight, people) > 0
        found[number] = np.where(there, again.reliability, np.nan)
        if heed is not None:
            heed(number + 1, rounds)
    return found


def spreads(drawn: Array, estimate: Array, annotator: Numbers, item: Numbers, level: float) -> list[Spread]:
    """The interval of each annotator, whose judgements are of these items; none that leaves out the `estimate` of all
    items together: then samples, in which items double, say something else than the items do."""
    people = drawn.shape[1]
    pairs = np.unique(annotator * (int(item.max()) + 1) + item)
    counts = np.bincount(pairs // (int(item.max()) + 1), minlength=people)
    return [_around(spread(drawn[:, one], int(counts[one]), level), float(estimate[one])) for one in range(people)]


def _around(found: Spread, estimate: float) -> Spread:
    if found.low is None or found.high is None or found.low <= estimate <= found.high:
        return found
    return Spread(None, None, found.rounds, BESIDE)


def _weights(item: Numbers, rounds: int, batch: int, seed: int) -> Iterator[Array]:
    """How often each entry counts in each of the next rounds of a batch: (entries, rounds)."""
    generator = np.random.default_rng(seed)
    _, place = np.unique(item, return_inverse=True)
    items = int(place.max()) + 1
    for start in range(0, rounds, batch):
        some = range(min(batch, rounds - start))
        drawn = [np.bincount(generator.integers(items, size=items), minlength=items) for _ in some]
        yield np.stack(drawn, axis=1).astype(np.float64)[place]


def _accuracies(said: csr_array, begun: Array, weight: Array, people: int, smoothing: float) -> Array:
    """EM for all rounds side by side, until no accuracy moves by more than `STILL`: (rounds, annotators)."""
    width, rounds = begun.shape[1], weight.shape[1]
    truth = np.broadcast_to(begun[:, None, :], (len(begun), rounds, width))
    before = np.full((rounds, people), np.inf)
    for _ in range(MOST_ITERATIONS):
        seen = (truth * weight[:, :, None]).reshape(len(begun), -1)
        prior = seen.sum(axis=0).reshape(rounds, width) / weight.sum(axis=0)[:, None]
        answers = np.asarray(said.T @ seen).reshape(people, width, rounds, width)
        if smoothing:
            pooled = answers.sum(axis=0) + 1
            answers = answers + smoothing * width * pooled / pooled.sum(axis=0, keepdims=True)
        total = answers.sum(axis=1, keepdims=True)
        confusion = np.divide(answers, total, out=np.full_like(answers, 1 / width), where=total > 0)
        accuracy: Array = np.einsum("rz,pzrz->rp", prior, confusion)
        if np.abs(accuracy - before).max() < STILL:
            break
        before = accuracy
        with np.errstate(divide="ignore"):
            known = np.maximum(np.log(confusion), -1e9).reshape(people * width, rounds * width)
            likely = np.asarray(said @ known).reshape(truth.shape) + np.maximum(np.log(prior), -1e9)
        likely -= likely.max(axis=2, keepdims=True)
        np.exp(likely, out=likely)
        truth = likely / likely.sum(axis=2, keepdims=True)
    return accuracy
