"""Agreement of two raters."""

import math

import pytest

from alignment.statistics import agreement


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
