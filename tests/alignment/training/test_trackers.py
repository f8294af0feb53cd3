"""Trackers get every step that the run's events tell, and nothing leaves a machine that stays offline."""

import json
import sqlite3
import struct
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from tensorboardX.proto.event_pb2 import Event  # type: ignore[import-untyped]

from alignment.training import Spec, trackers, train
from alignment.training.errors import BadSpec
from alignment.training.events import Events
from tests.alignment.training.conftest import MakeSpec


def scalars(folder: Path) -> dict[tuple[str, int], float]:
    """What TensorBoard's event files hold: records of a length, its checksum, an event and its checksum."""
    found: dict[tuple[str, int], float] = {}
    for path in folder.glob("events.out.tfevents.*"):
        data = path.read_bytes()
        while data:
            (size,) = struct.unpack("<Q", data[:8])
            event = Event.FromString(data[12 : 12 + size])
            found |= {(value.tag, event.step): value.simple_value for value in event.summary.value}
            data = data[16 + size :]
    return found


def told(out: Path) -> dict[tuple[str, int], float]:
    """What the run's own events say of every step."""
    lines = [json.loads(line) for line in (out / "events.jsonl").read_text().splitlines()]
    return {
        (name, line["step"]): value
        for line in lines
        if line["type"] == "step"
        for name, value in line["values"].items()
        if value is not None
    }


def test_tensorboard_holds_every_step(make_spec: MakeSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each metric of each step, evaluations too, is in its files as the run's own events have it; offline too."""
    monkeypatch.setenv("PLUMBLINE_OFFLINE", "1")
    out = tmp_path / "run"

    train(Spec.model_validate(make_spec(trackers=["tensorboard"])), out)

    expected = told(out)
    written = scalars(out / "trackers" / "tensorboard")
    assert {("loss", 1), ("loss", 3), ("eval/loss", 3), ("num_tokens", 2)} < set(expected)
    assert {key: written[key] for key in expected} == pytest.approx(expected, rel=1e-6)


def test_trackio_holds_every_step(
    make_spec: MakeSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The same in its database.  Only where somebody has installed it: it brings another event loop for web servers."""
    pytest.importorskip("trackio")
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "trackio"))
    out = tmp_path / "run"

    train(Spec.model_validate(make_spec(trackers=["trackio"])), out)

    (database,) = (tmp_path / "trackio").glob("*.db")
    with sqlite3.connect(database) as connection:
        rows = connection.execute("select step, metrics from metrics").fetchall()
    logged = {(name, step): value for step, text in rows for name, value in json.loads(text).items()}
    expected = told(out)
    assert {key: logged[key] for key in expected} == pytest.approx(expected, rel=1e-6)
    capsys.readouterr()


def test_no_tracker_is_told_unless_asked_for(make_spec: MakeSpec, tmp_path: Path) -> None:
    """By default nothing is written beside the run's own files."""
    train(Spec.model_validate(make_spec()), tmp_path / "run")

    assert not (tmp_path / "run" / trackers.PLACE).exists()


def test_a_tracker_that_is_not_installed_is_refused_with_the_line_to_type(
    make_spec: MakeSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before any weights are loaded the run says what to install."""
    monkeypatch.setattr(trackers, "find_spec", lambda name: None if name in ("wandb", "mlflow") else find_spec(name))
    for name in ("wandb", "mlflow"):
        with pytest.raises(BadSpec) as refused:
            train(Spec.model_validate(make_spec(trackers=[name])), tmp_path / name)
        assert refused.value.remedy == f"pip install {name}"
        assert refused.value.field == "trackers"
        events = [json.loads(line) for line in (tmp_path / name / "events.jsonl").read_text().splitlines()]
        assert [event["type"] for event in events] == ["error"]


@pytest.mark.parametrize(
    ("name", "way", "address", "leaves"),
    [
        ("mlflow", "MLFLOW_TRACKING_URI", "https://mlflow.example", True),
        ("mlflow", "MLFLOW_TRACKING_URI", "databricks", True),
        ("mlflow", "MLFLOW_TRACKING_URI", "sqlite:////data/mlflow.db", False),
        ("trackio", "TRACKIO_SPACE_ID", "team/space", True),
        ("trackio", "TRACKIO_SERVER_URL", "http://10.0.0.1", True),
        ("tensorboard", "MLFLOW_TRACKING_URI", "https://mlflow.example", False),
    ],
)
def test_nothing_leaves_a_machine_that_stays_offline(
    name: Any, way: str, address: str, leaves: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server named in the environment is refused offline, and only offline, by its variable."""
    monkeypatch.setattr(trackers, "find_spec", lambda name: name)
    monkeypatch.setenv(way, address)
    trackers.require([name])
    monkeypatch.setenv("PLUMBLINE_OFFLINE", "true")
    if not leaves:
        trackers.require([name])
        return
    with pytest.raises(BadSpec, match=way):
        trackers.require([name])


def test_a_tracker_that_fails_is_left_out_and_the_run_goes_on(
    make_spec: MakeSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its failure is a line of the run's log, not the end of the run."""
    from accelerate.tracking import TensorBoardTracker

    def fail(*_: Any, **__: Any) -> None:
        raise ConnectionError("secret address")

    monkeypatch.setattr(TensorBoardTracker, "log", fail)
    summary = train(Spec.model_validate(make_spec(trackers=["tensorboard"])), tmp_path / "run")

    text = (tmp_path / "run" / "events.jsonl").read_text()
    assert summary.step == 3
    assert text.count("TensorBoard failed (ConnectionError) and is told no more") == 1
    assert "secret address" not in text


def test_a_tracker_that_does_not_start_ends_the_run_before_training(
    make_spec: MakeSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who asked for a copy is told at once that there will be none."""
    from accelerate.tracking import TensorBoardTracker

    def fail(*_: Any) -> None:
        raise PermissionError("not logged in with key 123")

    monkeypatch.setattr(TensorBoardTracker, "start", fail)
    with pytest.raises(BadSpec, match=r"TensorBoard did not start \(PermissionError\)") as refused:
        train(Spec.model_validate(make_spec(trackers=["tensorboard"])), tmp_path / "run")
    assert "123" not in str(refused.value.event())
    assert not (tmp_path / "run" / "checkpoints").exists()


@pytest.mark.parametrize(
    "given", [["comet"], ["wandb", "wandb"], "tensorboard", [None], [{"name": "wandb", "key": "x"}]]
)
def test_trackers_are_a_list_of_known_names(given: Any, make_spec: MakeSpec) -> None:
    """Unknown names, doubled ones, and keys where only names belong are refused."""
    with pytest.raises(ValidationError):
        Spec.model_validate(make_spec(trackers=given))


def test_facts_name_no_folders_of_this_machine(make_spec: MakeSpec, tmp_path: Path) -> None:
    """What a tracker is told of the spec has the hyperparameters, and no path."""
    spec = Spec.model_validate(make_spec(trackers=["tensorboard"]))
    with Events(tmp_path / "events.jsonl") as events, trackers.following(spec, tmp_path, events):
        pass

    facts = (next((tmp_path / "trackers").rglob("hparams.yml"))).read_text()
    assert "objective.beta: 0.1" in facts
    assert str(tmp_path) not in facts
