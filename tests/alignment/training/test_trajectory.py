"""A recorded run is taken again as it was: same examples, same order, same losses and gradients."""

import json
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
import torch

from alignment.training import trajectory
from alignment.training.errors import BadData, BadSpec, TooFewExamples
from alignment.training.trajectory import Trajectory, read, take
from tests.alignment.training.recorded import STEPS, lines, plainly, record


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "pairs.jsonl"
    path.write_text("\n".join(json.dumps(one) for one in lines()) + "\n")
    return path


def nothing(*_: object) -> None:
    pass


def test_a_run_recorded_by_a_plain_loop_is_taken_again(base: Path, data: Path, tmp_path: Path) -> None:
    """Over passes whose last batch is short, every step has the record's loss and gradient."""
    path = tmp_path / "record.json"
    path.write_text(json.dumps(record(plainly(base, data))))

    taken = list(take(read(path), base, data, nothing, nothing))

    assert [one.step for one in taken] == list(range(1, STEPS + 1))
    assert taken[0].loss == pytest.approx(0.693147, abs=1e-6)
    assert abs(taken[-1].loss - taken[0].loss) > 1e-3
    assert all(one.within for one in taken)
    assert max(abs(one.loss_difference or 0) for one in taken) < 1e-5


@pytest.mark.parametrize(
    ("field", "factor"), [("loss", 1.001), ("grad_norm", 1.01), ("loss", 0.999), ("grad_norm", 0.99)]
)
def test_a_record_that_differs_is_told_apart(field: str, factor: float, base: Path, data: Path) -> None:
    """One number of one step that is elsewhere is beyond the tolerance there, and nowhere else."""
    steps = plainly(base, data)
    steps[3][field] *= factor
    found = list(take(Trajectory.model_validate(record(steps)), base, data, nothing, nothing))

    assert [one.step for one in found if not one.within] == [4]


def test_steps_that_nobody_recorded_are_taken_and_compared_with_nothing(base: Path, data: Path) -> None:
    """A record may hold some steps of a run only."""
    steps = plainly(base, data)[4:5]
    found = list(take(Trajectory.model_validate(record(steps)), base, data, nothing, nothing))

    assert [one.recorded is not None for one in found] == [False, False, False, False, True, False]
    assert all(one.within for one in found)


def test_the_order_is_that_of_a_seeded_sampler() -> None:
    """Each pass is drawn anew, holds every example once, and ends with a short batch."""
    batches = trajectory.order(18, 8, 42)
    first, second = [next(batches) for _ in range(3)], [next(batches) for _ in range(3)]

    assert [len(one) for one in first] == [8, 8, 2]
    assert list(chain(*first)) == torch.randperm(18, generator=torch.Generator().manual_seed(42)).tolist()
    assert sorted(chain(*second)) == list(range(18))
    assert first != second


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"steps": []}, "steps"),
        ({"steps": [{"step": 7, "loss": 0.1, "grad_norm": 1.0}]}, "beyond"),
        ({"steps": [{"step": 1, "loss": 0.1, "grad_norm": 1.0}] * 2}, "twice"),
        ({"steps": [{"step": 1, "loss": 0.1, "grad_norm": 0.0}]}, "grad_norm"),
        ({"steps": [{"step": 1, "loss": float("nan"), "grad_norm": 1.0}]}, "finite"),
        ({"model": {}}, "neither"),
        ({"model": {"path": "base", "hub_id": "someone/tiny"}}, "both"),
        ({"tolerance": {"loss": 0, "grad_norm": 1}}, "tolerance"),
        ({"colour": "red"}, "colour"),
    ],
    ids=str,
)
def test_a_record_that_cannot_be_taken_is_refused(change: dict[str, Any], word: str, tmp_path: Path) -> None:
    """Before anything is loaded, by the field that is wrong."""
    path = tmp_path / "record.json"
    path.write_text(json.dumps(record([{"step": 1, "loss": 0.7, "grad_norm": 1.0}]) | change))
    with pytest.raises(BadSpec, match=word):
        read(path)


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b"\xff\xfe", b"[" * 100_000], ids=lambda raw: raw[:4].hex())
def test_a_file_that_is_no_record_is_refused(content: bytes, tmp_path: Path) -> None:
    """Whatever is in it."""
    path = tmp_path / "record.json"
    path.write_bytes(content)
    with pytest.raises(BadSpec):
        read(path)


@pytest.mark.parametrize(
    "line",
    [
        "no json",
        "[1]",
        '{"chosen": "text", "rejected": "text"}',
        '{"chosen": [], "rejected": []}',
        '{"chosen": [{"role": "user", "content": "a"}], "rejected": [{"role": "user", "content": "b"}]}',
        '{"prompt": [{"role": "user"}], "chosen": [{"role": "assistant", "content": "a"}], "rejected": [1]}',
    ],
)
def test_data_that_hold_no_pairs_are_refused_by_their_line(line: str, base: Path, data: Path) -> None:
    """The line is named."""
    with data.open("a") as file:
        file.write(line + "\n")
    steps = [{"step": 1, "loss": 0.7, "grad_norm": 1.0}]
    with pytest.raises(BadData, match="line 19"):
        list(take(Trajectory.model_validate(record(steps)), base, data, nothing, nothing))


def test_data_of_which_nothing_fits_are_refused(base: Path, data: Path) -> None:
    """Every prompt fills the length: there is nothing to compare."""
    given = record([{"step": 1, "loss": 0.7, "grad_norm": 1.0}])
    given["settings"]["max_length"] = 2
    with pytest.raises(TooFewExamples):
        list(take(Trajectory.model_validate(given), base, data, nothing, nothing))
