"""Dawid-Skene and Crowd-BT: who is reliable is found where it is known, and what was asked to stop stops."""

import numpy as np
import pytest
from scipy.stats import spearmanr

from alignment.statistics import Ratings, trust
from alignment.statistics.crowd_bt import Comparisons, _loss, crowd_bt
from alignment.statistics.dawid_skene import dawid_skene
from alignment.statistics.resampling import NO_SPREAD, TOO_FEW
from tests.alignment.statistics.tables import observers

CROWD_KIT = [1.0, 1.0, 0.033333, 0.266667, 1.0, 0.033333, 1.0, 1.0]  # probability of "a"


class Enough(Exception):
    """Raised by a listener that wants no more."""


def crowd(accuracy: list[float], *, items: int = 800, width: int = 3, seed: int = 0) -> tuple[Ratings, np.ndarray]:
    """Ratings by annotators who are right that often, each of two items in three, and the truth."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, width, items)
    unit, person = np.divmod(np.arange(items * len(accuracy)), len(accuracy))
    wrong = (truth[unit] + rng.integers(1, width, len(unit))) % width
    said = np.where(rng.random(len(unit)) < np.array(accuracy)[person], truth[unit], wrong)
    there = rng.random(len(unit)) < 0.67
    return Ratings.of(unit[there], person[there], said[there], "abc"[:width], np.arange(items)), truth


def test_accuracies_that_are_known_are_found() -> None:
    """Six annotators from good to bad: their accuracy to 0.05, and the truth more often than by the majority."""
    true = [0.95, 0.9, 0.8, 0.6, 0.4, 0.4]
    ratings, truth = crowd(true)

    found = dawid_skene(ratings)

    assert found.converged
    assert found.accuracy == pytest.approx(true, abs=0.05)
    right = (found.truth.argmax(axis=1) == truth).mean()
    assert right > (ratings.counts().argmax(axis=1) == truth).mean() + 0.03
    assert found.truth.sum(axis=1) == pytest.approx(np.ones(800))
    assert found.confusion.sum(axis=2) == pytest.approx(np.ones((6, 3)))


def test_without_smoothing_it_is_the_papers_maximum_likelihood() -> None:
    """The values of crowd-kit 1.4.2's DawidSkene, run until nothing moves, on eight items of three annotators."""
    ratings = observers(["aabbabab", "aabbabba", "ababbabb"], "ab")

    found = dawid_skene(ratings, smoothing=0)

    assert found.truth[:, 0] == pytest.approx(CROWD_KIT, abs=1e-4)


def test_intervals_are_those_of_items_drawn_again() -> None:
    """A sample is the same as data in which the items stand as often; intervals hold the truth, are as wide as so many
    judgements make them, come out the same for a seed, and are missing where few items were judged."""
    true = [0.95, 0.9, 0.8, 0.6]
    ratings, _ = crowd(true, items=400)
    few = Ratings.of(
        np.append(ratings.unit, [0, 1]), np.append(ratings.annotator, [4, 4]), np.append(ratings.category, [0, 0]),
        ratings.categories, ratings.item,
    )  # fmt: skip
    fit = dawid_skene(few)
    drawn = trust.accuracies(few, fit, seed=3)
    bounds = trust.spreads(drawn, fit.accuracy, few.annotator, few.item[few.unit], 0.95)
    *sure, unsure = bounds
    assert len(drawn) == sure[0].rounds == trust.MOST_ROUNDS
    for spread, value in zip(sure, true, strict=True):
        assert spread.low is not None
        assert spread.high is not None
        assert spread.low - 0.02 < value < spread.high + 0.02
        assert (spread.high - spread.low) / (4 * np.sqrt(value * (1 - value) / 268)) == pytest.approx(1, abs=0.6)
    assert (unsure.low, unsure.reason) == (None, TOO_FEW)
    np.testing.assert_array_equal(drawn, trust.accuracies(few, fit, seed=3))

    judged = np.unique(ratings.unit)
    (weight,) = next(iter(trust._weights(judged, 1, 1, 3))).T
    place = [np.flatnonzero(ratings.unit == one) for one in np.repeat(judged, weight.astype(int))]
    unit = np.repeat(np.arange(len(place)), [len(one) for one in place])
    rows = np.concatenate(place)
    again = Ratings.of(unit, ratings.annotator[rows], ratings.category[rows], ratings.categories)
    first = trust.accuracies(ratings, dawid_skene(ratings), seed=3)[0]
    assert first == pytest.approx(dawid_skene(again).accuracy, abs=0.002)


def test_intervals_of_choices() -> None:
    """The same of Crowd-BT: a sample equals data with items repeated; who chooses well lies above who does not."""
    rng = np.random.default_rng(5)
    item = np.repeat(np.arange(60), 4)
    first, second = 2 * item % 30, (2 * item + 1 + item % 7) % 30
    wins = rng.random(len(item)) < np.tile([0.95, 0.95, 0.9, 0.5], 60)
    compared = Comparisons(np.tile(np.arange(4), 60), first, second, np.where(wins == (first < second), 1.0, 0.0))
    fit = crowd_bt(compared)
    drawn = trust.reliabilities(compared, item, fit, seed=1)
    best, *_, worst = trust.spreads(drawn, fit.reliability, compared.annotator, item, 0.9)
    assert best.low is not None
    assert worst.high is not None
    assert best.low > worst.high
    (weight,) = next(iter(trust._weights(item, 1, 1, 1))).T
    rows = np.repeat(np.arange(len(item)), weight.astype(int))
    again = crowd_bt(Comparisons(compared.annotator[rows], first[rows], second[rows], compared.first_won[rows]))
    assert drawn[0] == pytest.approx(again.reliability, abs=0.002)


@pytest.mark.parametrize("case", ["all agree", "one against two", "alone", "opposed"])
def test_an_interval_holds_its_estimate_or_there_is_none(case: str) -> None:
    """Data that say the same of every item, or of which nobody is a check on anybody: no interval that leaves out what
    all items together say, and a reason in its place."""
    people = {"all agree": 2, "one against two": 3, "alone": 1, "opposed": 2}[case]
    item, annotator = np.repeat(np.arange(12), people), np.tile(np.arange(people), 12)
    against = annotator == people - 1 if case in ("one against two", "opposed") else np.zeros(len(item), dtype=bool)
    compared = Comparisons(annotator, item % 4, item % 4 + 4, np.where(against, 0.0, 1.0))
    fit = crowd_bt(compared)
    drawn = trust.reliabilities(compared, item, fit, seed=1)
    for spread, estimate in zip(
        trust.spreads(drawn, fit.reliability, annotator, item, 0.95), fit.reliability, strict=True
    ):
        if spread.low is None or spread.high is None:
            assert (spread.low, spread.high) == (None, None)
            assert spread.reason in (trust.BESIDE, NO_SPREAD)
        else:
            assert spread.low <= estimate <= spread.high


def test_nobody_becomes_infallible() -> None:
    """Three who always agree are trusted nearly, not fully; one alone is the majority, of whom nothing is known."""
    agreed = dawid_skene(observers(["abababab"] * 3, "ab"))
    alone = dawid_skene(observers(["abababab"], "ab"))

    assert np.all((agreed.accuracy > 0.9) & (agreed.accuracy < 1))
    assert alone.truth.argmax(axis=1).tolist() == [0, 1] * 4
    assert alone.accuracy[0] < 1


def test_a_liar_is_found_out() -> None:
    """Who says the contrary among three honest ones is known to, and helps: with them the truth is still found."""
    ratings, truth = crowd([0.85, 0.85, 0.85, 0.1], width=2)

    found = dawid_skene(ratings)

    assert found.accuracy[3] == pytest.approx(0.1, abs=0.05)
    assert (found.truth.argmax(axis=1) == truth).mean() > 0.88


def compared(
    reliability: list[float], *, responses: int = 30, each: int = 2000, seed: int = 0
) -> tuple[Comparisons, np.ndarray]:
    """Choices by annotators of these reliabilities among responses of known scores, and the scores."""
    rng = np.random.default_rng(seed)
    scores = rng.normal(size=responses)
    person = np.repeat(np.arange(len(reliability)), each)
    first = rng.integers(0, responses, len(person))
    second = (first + rng.integers(1, responses, len(person))) % responses
    better = rng.random(len(person)) < 1 / (1 + np.exp(scores[second] - scores[first]))
    honest = rng.random(len(person)) < np.array(reliability)[person]
    return Comparisons(person, first, second, np.where(honest, better, ~better).astype(float)), scores


def test_scores_and_reliabilities_that_are_known_are_found() -> None:
    """Four annotators, one of coins and one who lies, are known again to a tenth, and the order of responses."""
    true = [0.97, 0.85, 0.5, 0.1]
    data, scores = compared(true)

    found = crowd_bt(data)

    assert found.converged
    assert found.reliability == pytest.approx(true, abs=0.1)
    assert spearmanr(found.scores, scores)[0] > 0.97


def test_ties_count_half() -> None:
    """Ties alone leave all equal; a tie is as a choice of each side by one who is asked twice."""
    none = crowd_bt(Comparisons(np.zeros(6, int), np.arange(6), (np.arange(6) + 1) % 6, np.full(6, 0.5)))
    people, first, second = np.array([0, 0, 1]), np.array([0, 1, 0]), np.array([1, 2, 2])
    once = crowd_bt(Comparisons(people, first, second, np.array([0.5, 1.0, 1.0])))
    mirrored = crowd_bt(Comparisons(people, second, first, np.array([0.5, 0.0, 0.0])))

    assert none.scores == pytest.approx(np.zeros(6), abs=1e-5)
    assert mirrored.scores == pytest.approx(once.scores, abs=1e-4)


def test_the_gradient_is_the_losss() -> None:
    """The gradient by hand is that of small differences, also where a margin is large."""
    data, _ = compared([0.9, 0.6], responses=4, each=30)
    at = np.array([0.3, -4.0, 20.0, 1.0, 2.0, -0.5])

    weight = (np.arange(len(data.annotator)) % 3).astype(np.float64)
    _, gradient = _loss(at, data, 4, 2, weight)

    for place in range(6):
        step = np.eye(6)[place] * 1e-5
        slope = (_loss(at + step, data, 4, 2, weight)[0] - _loss(at - step, data, 4, 2, weight)[0]) / 2e-5
        assert gradient[place] == pytest.approx(slope, rel=1e-4, abs=1e-4)


def test_whoever_listens_may_stop_it() -> None:
    """Each iteration is told of, and what the listener raises ends the fit."""
    told: list[tuple[int, int]] = []

    def heed(iteration: int, most: int) -> None:
        told.append((iteration, most))
        if len(told) % 2 == 0:
            raise Enough

    with pytest.raises(Enough):
        dawid_skene(crowd([0.9, 0.7, 0.5])[0], heed=heed)
    with pytest.raises(Enough):
        crowd_bt(compared([0.9, 0.6])[0], heed=heed)

    assert [iteration for iteration, _ in told] == [1, 2, 1, 2]


def test_nothing_teaches_nothing() -> None:
    """Without a judgement there is no model."""
    none = np.array([], dtype=np.int64)
    with pytest.raises(ValueError, match="nothing to learn"):
        dawid_skene(Ratings.of([], [], [], "ab"))
    with pytest.raises(ValueError, match="nothing to learn"):
        crowd_bt(Comparisons(none, none, none, none.astype(float)))
