"""Agreement of two raters, and of every two among several."""

import math

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from alignment.statistics import agreement, cohen
from alignment.statistics.cohen import NOTHING_SHARED, ONE_ANSWER, pairs
from tests.alignment.statistics.tables import ABSTRACTORS, observers, table


def test_known_kappa() -> None:
    """The textbook table of 20, 5, 10, 15 has 35 of 50 alike and a kappa of 0.4."""
    first = ["yes"] * 25 + ["no"] * 25
    second = ["yes"] * 20 + ["no"] * 5 + ["yes"] * 10 + ["no"] * 15

    found = agreement(first, second)

    assert (found.n, found.agreed) == (50, 35)
    assert found.kappa == pytest.approx(0.4)


@pytest.mark.parametrize("said", [[], ["win"] * 4])
def test_kappa_is_nan_where_it_does_not_exist(said: list[str]) -> None:
    """Nothing rated, or one answer throughout: no kappa is made up."""
    found = agreement(said, said)

    assert found.agreed == len(said)
    assert math.isnan(found.kappa)


def test_unequal_lengths_are_refused() -> None:
    """Cases must be the same ones."""
    with pytest.raises(ValueError, match="argument"):
        agreement(["a"], [])


def test_gwets_table_and_its_interval() -> None:
    """100 patients, two abstractors: kappa 0.7964, interval about 0.680 to 0.913 (irrCAC, kappa2.table)."""
    found = cohen(table(ABSTRACTORS, "EAN"))

    assert found.value == pytest.approx(0.7964094, abs=1e-6)
    assert (found.n, found.labels) == (100, 200)
    assert found.low == pytest.approx(0.680, abs=0.03)
    assert found.high == pytest.approx(0.913, abs=0.03)


def test_kappa_of_more_than_two_is_of_each_pair() -> None:
    """Three annotators have no Cohen kappa but three, each over the items that both judged."""
    three = observers(["abab.abababab", "abbbaabababaa", "bbabaabababa."], "ab")

    found = cohen(three)
    both = pairs(three, [0, 1, 2])

    assert found.value is None
    assert found.reason is not None
    assert "see their pairs" in found.reason
    assert [(one.first, one.second, one.kappa.n) for one in both] == [(0, 1, 12), (0, 2, 11), (1, 2, 12)]
    assert both[0].percent.value == pytest.approx(10 / 12)
    assert both[0].kappa.value == pytest.approx(2 / 3)


def test_strangers_and_those_who_share_nothing() -> None:
    """Annotators who judged no item both, or who are not there at all, are told so."""
    apart = observers(["ab..", "..ab"], "ab")

    (found,) = pairs(apart, [0, 1])
    (stranger,) = pairs(apart, [0, 9])

    assert (found.kappa.value, found.percent.value, found.kappa.reason) == (None, None, NOTHING_SHARED)
    assert stranger.kappa.reason == NOTHING_SHARED


def test_one_and_the_same_answer_has_no_kappa() -> None:
    """Both said the same of everything: they agree fully, and kappa is 0 / 0."""
    (found,) = pairs(observers(["a" * 20] * 2, "ab"), [0, 1])

    assert (found.percent.value, found.kappa.value, found.kappa.reason) == (1, None, ONE_ANSWER)


def test_kappa_is_the_librarys() -> None:
    """On answers at random kappa is scikit-learn's to the last digits."""
    rng = np.random.default_rng(0)
    first, second = rng.integers(0, 3, 80), rng.integers(0, 3, 80)
    second[:40] = first[:40]
    rows = ["".join("abc"[one] for one in column) for column in (first, second)]

    assert cohen(observers(rows, "abc")).value == pytest.approx(cohen_kappa_score(first, second))
