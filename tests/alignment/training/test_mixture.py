"""Several sources are drawn by their weights: the stated share, each example as often as its neighbors, repeatably."""

import json
from collections import Counter
from itertools import islice
from pathlib import Path

import pytest

from alignment.formats import snapshot
from alignment.training import train
from alignment.training.batches import order as passes
from alignment.training.errors import BadData
from alignment.training.mixture import draws, order
from tests.alignment.training.conftest import MakeSnapshot, MakeSpec, examples


def other_examples(count: int, validation: int = 0) -> list[snapshot.Example]:
    """Examples that no other snapshot of a test holds."""
    rows = examples(count, validation)
    for row in rows:
        row.prompt[0]["content"] += " please"
    return rows


def test_without_weights_an_epoch_is_every_example_once() -> None:
    """Several plain sources are one list: the order of a run on one snapshot of all does not change."""
    assert list(islice(order([3, 4], None, 7), 14)) == list(islice(passes(7, 7), 14))


def test_a_weight_is_the_share_of_the_draws() -> None:
    """Per epoch a source's draws are its share, rounded up or down; over many epochs they are the share itself."""
    epoch = 10
    drawn = list(islice(order([8, 2], [0.25, 0.75], 3), 400 * epoch))

    per_epoch = [sum(index < 8 for index in drawn[start : start + epoch]) for start in range(0, len(drawn), epoch)]
    assert set(per_epoch) == {2, 3}
    assert sum(per_epoch) / len(drawn) == pytest.approx(0.25, abs=0.01)


def test_examples_of_a_source_are_seen_equally_often() -> None:
    """Passes go on over the ends of epochs: nothing is drawn a second time before everything was drawn once."""
    drawn = list(islice(order([5, 3], [1, 9], 0), 80))
    for low, high in ((0, 5), (5, 8)):
        counts = Counter(index for index in drawn if low <= index < high)
        assert len(counts) == high - low
        assert max(counts.values()) - min(counts.values()) <= 1


def test_the_same_seed_draws_the_same_and_another_does_not() -> None:
    """A mixture is as repeatable as a single snapshot; only the proportion of the weights matters."""
    first, again, scaled, other = (
        list(islice(order([6, 6], weights, seed), 60))
        for weights, seed in (([1, 2], 5), ([1, 2], 5), ([2, 4], 5), ([1, 2], 6))
    )
    assert first == again == scaled
    assert first != other


def test_draws_always_sum_up() -> None:
    """Whatever the rounding, an epoch has as many draws as there are examples."""
    for chance in (0.0, 0.3, 0.999999):
        counts = draws(101, [0.1, 0.2, 1e-9, 3.7], chance)
        assert sum(counts) == 101
        assert min(counts) >= 0


def test_a_run_mixes_two_snapshots(make_spec: MakeSpec, make_snapshot: MakeSnapshot, tmp_path: Path) -> None:
    """Training tells the shares it draws by, and takes as many steps as both snapshots' examples fill."""
    first, second = make_snapshot(examples(12, 4)), make_snapshot(other_examples(6, 2))
    sources = [{"path": str(first), "weight": 1}, {"path": str(second), "weight": 3}]

    train(make_spec(snapshots=sources, duration={"epochs": 1}), tmp_path / "out")

    events = [json.loads(line) for line in (tmp_path / "out" / "events.jsonl").read_text().splitlines()]
    mixed = next(event for event in events if "shares" in event)
    assert (mixed["shares"], mixed["examples"]) == ([0.25, 0.75], [12, 6])
    assert max(event.get("step", 0) for event in events) == 18 // 4


def test_a_weight_on_nothing_is_refused(make_spec: MakeSpec, make_snapshot: MakeSnapshot, tmp_path: Path) -> None:
    """A share of the draws cannot come from a snapshot without training pairs; the field is named."""
    sources = [
        {"path": str(make_snapshot(examples(12, 4))), "weight": 1},
        {"path": str(make_snapshot(other_examples(0, 3))), "weight": 1},
    ]
    with pytest.raises(BadData) as refused:
        train(make_spec(snapshots=sources), tmp_path / "out")
    assert refused.value.field == "snapshots.1.path"
