"""Pairs of the toy world: labelled by the truth, with as much noise as was asked for."""

import json
from pathlib import Path
from typing import Literal

import pytest

from alignment import formats, toyworld
from alignment.formats import Item
from alignment.toyworld import pairs, truth

N = 2000


def _sides(items: list[Item]) -> list[tuple[float, bool, int]]:
    """Of each item: the noiseless truth, whether the first response was chosen, and how many words longer it is."""
    found = []
    for item in items:
        first, second = (response["content"] for response in item.responses)
        longer = len(first.split()) - len(second.split())
        found.append((truth(item.prompt, first, second, 0), item.labels[0].value["strength"] > 0, longer))
    return found


def _agreement(items: list[Item]) -> float:
    """The share of labels that follow the truth, ties aside."""
    clear = [(p > 0.5) == chosen for p, chosen, _ in _sides(items) if p != 0.5]
    return sum(clear) / len(clear)


def test_without_noise_labels_are_the_truth() -> None:
    """Temperature 0, no flips and no bias: every label follows the true reward."""
    assert _agreement(pairs(N, 0, temperature=0, flip=0)) == 1.0


@pytest.mark.parametrize("flip", [0.1, 0.3, 1.0])
def test_flips_are_as_many_as_asked_for(flip: float) -> None:
    """A flip of 30 % turns 30 % of the labels round, within four standard errors."""
    assert _agreement(pairs(N, 1, temperature=0, flip=flip)) == pytest.approx(1 - flip, abs=0.045)


def test_temperature_makes_labels_noisier() -> None:
    """The hotter, the closer to a coin."""
    cool, warm, hot = (_agreement(pairs(N, 2, temperature=t, flip=0)) for t in (0.2, 1.0, 20.0))

    assert cool > warm > hot
    assert cool > 0.95
    assert hot < 0.56


def test_labels_follow_the_stated_probability() -> None:
    """Labels are drawn with the probability that `truth` gives: the mean of both agrees."""
    items = pairs(N, 3, flip=0)
    chosen_first = [item.labels[0].value["strength"] > 0 for item in items]
    expected = [truth(item.prompt, item.responses[0]["content"], item.responses[1]["content"]) for item in items]
    sure = [(c, p) for c, p in zip(chosen_first, expected, strict=True) if p > 0.5]

    assert sum(c for c, _ in sure) / len(sure) == pytest.approx(sum(p for _, p in sure) / len(sure), abs=0.035)


def test_length_bias_prefers_the_longer() -> None:
    """The share of pairs whose longer response is chosen grows with the bias and passes a half."""
    shares = []
    for bias in (0.0, 1.0, 5.0):
        uneven = [(chosen, longer) for _, chosen, longer in _sides(pairs(N, 4, length_bias=bias)) if longer]
        shares.append(sum(chosen == (longer > 0) for chosen, longer in uneven) / len(uneven))

    assert shares == sorted(shares)
    assert shares[0] < 0.5 < shares[1]
    assert shares[2] > 0.75


def test_which_side_is_chosen_says_nothing() -> None:
    """The chosen response stands first in about half of the items."""
    first = sum(item.labels[0].value["strength"] > 0 for item in pairs(N, 5))

    assert 0.45 < first / N < 0.55


def test_truth_is_symmetric() -> None:
    """Swapping the answers gives the other probability."""
    (item,) = pairs(1, 6)
    a, b = (response["content"] for response in item.responses)

    assert truth(item.prompt, a, b) == pytest.approx(1 - truth(item.prompt, b, a))
    assert truth(item.prompt, a, a, 0) == 0.5


@pytest.mark.parametrize("wrong", [{"temperature": -1}, {"flip": 1.5}, {"flip": -0.1}, {"length_bias": float("nan")}])
def test_settings_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    """Nonsense is refused before anything is made."""
    with pytest.raises(ValueError, match="temperature"):
        pairs(1, 0, **wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("form", ["trl", "native", "unlabelled"])
def test_written_pairs_are_read_back(form: Literal["trl", "native", "unlabelled"], tmp_path: Path) -> None:
    """Every form that write_pairs knows is read by the import, row by row, with its labels or without."""
    path = tmp_path / "pairs.jsonl"

    assert toyworld.write_pairs(path, 50, 7, form=form) == 50

    items = list(formats.read(path))
    made = toyworld.pairs(50, 7)
    for item, original in zip(items, made, strict=True):
        assert isinstance(item, Item)
        assert item.content_hash == original.content_hash
        assert bool(item.labels) == (form != "unlabelled")
        if form == "trl":
            better = 0 if original.labels[0].value["strength"] > 0 else 1
            assert item.responses[0] == original.responses[better]


def test_the_tour_is_worth_labelling() -> None:
    """The shipped requests are 120 different unlabelled pairs with a category, some of several turns."""
    items = list(formats.read(toyworld.TOUR))

    assert len(items) == 120
    assert all(isinstance(item, Item) for item in items)
    good = [item for item in items if isinstance(item, Item)]
    assert len({item.prompt_hash for item in good}) == 120
    assert not any(item.labels for item in good)
    assert len({item.facts["category"] for item in good}) >= 8
    assert sum(len(item.prompt) > 1 for item in good) >= 6
    texts = [response["content"] for item in good for response in item.responses]
    assert len(set(texts)) == 240
    first_longer = sum(len(item.responses[0]["content"]) > len(item.responses[1]["content"]) for item in good)
    assert 45 <= first_longer <= 75
    assert json.loads(toyworld.TOUR.read_text(encoding="utf-8").splitlines()[0])["id"] == "tour-001"
