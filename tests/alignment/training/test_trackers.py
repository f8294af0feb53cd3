"""Trackers get every step that the run's events tell, and nothing leaves a machine that stays offline."""

import json
import os
import sqlite3
import struct
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from pydantic import ValidationError
from tensorboardX.proto.event_pb2 import Event  # type: ignore[import-untyped]

from alignment.training import Spec, trackers, train
from alignment.training.errors import BadSpec
from alignment.training.events import Events
from alignment.training.spec import TrackerName
from tests.alignment.training.conftest import MakeSpec

Logged = dict[tuple[str, int], float]


def scalars(out: Path) -> Logged:
    """What TensorBoard's event files hold: records of a length, its checksum, an event and its checksum."""
    found: Logged = {}
    for path in out.glob("trackers/tensorboard/events.out.tfevents.*"):
        data = path.read_bytes()
        while data:
            (size,) = struct.unpack("<Q", data[:8])
            event = Event.FromString(data[12 : 12 + size])
            found |= {(value.tag, event.step): value.simple_value for value in event.summary.value}
            data = data[16 + size :]
    return found


def history(out: Path) -> Logged:
    """What the file of Weights & Biases holds: after a head of 7 bytes blocks of 32 KiB, and in these parts of records,
    each with its checksum, its size and whether it is the last of its record."""
    from wandb.proto.wandb_internal_pb2 import Record

    (path,) = out.glob("trackers/wandb/offline-run-*/*.wandb")
    data, place, record = path.read_bytes(), 7, b""
    found: Logged = {}
    while place < len(data):
        if (left := 32768 - place % 32768) < 7:
            place += left
            continue
        size, kind = struct.unpack_from("<4xHB", data, place)
        record += data[place + 7 : place + 7 + size]
        place += 7 + size
        if kind in (1, 4):
            step = Record.FromString(record).history
            items = {item.key or ".".join(item.nested_key): json.loads(item.value_json) for item in step.item}
            found |= {(name, step.step.num): value for name, value in items.items()}
            record = b""
    return found


def measured(out: Path) -> Logged:
    """What MLflow's database holds."""
    with sqlite3.connect(out / "trackers" / "mlflow.db") as connection:
        rows = connection.execute("select key, step, value from metrics").fetchall()
    return {(name, step): value for name, step, value in rows}


def kept(out: Path) -> Logged:
    """What Trackio's database holds of a run; it is one for all runs of a process."""
    from trackio.utils import TRACKIO_DIR

    with sqlite3.connect(TRACKIO_DIR / "plumbline.db") as connection:
        rows = connection.execute("select step, metrics from metrics where run_name = ?", [out.name]).fetchall()
    return {(name, step): value for step, text in rows for name, value in json.loads(text).items()}


READERS: dict[TrackerName, Callable[[Path], Logged]] = {
    "tensorboard": scalars,
    "wandb": history,
    "mlflow": measured,
    "trackio": kept,
}


def told(out: Path) -> Logged:
    """What the run's own events say of every step."""
    lines = [json.loads(line) for line in (out / "events.jsonl").read_text().splitlines()]
    return {
        (name, line["step"]): value
        for line in lines
        if line["type"] == "step"
        for name, value in line["values"].items()
        if value is not None
    }


@pytest.mark.filterwarnings("default")  # what trackers warn of is theirs to mend
@pytest.mark.parametrize("name", READERS)
def test_a_tracker_holds_every_step(
    name: TrackerName, make_spec: MakeSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each metric of each step, evaluations too, as the run's own events have it; offline, and of the second run of a
    process as of its first.  Only where somebody has installed the tracker."""
    pytest.importorskip(trackers.KINDS[name].packages[0])
    for way in trackers.KINDS[name].environment:
        monkeypatch.delenv(way, raising=False)
    monkeypatch.setenv("PLUMBLINE_OFFLINE", "1")
    outs = [tmp_path / "first", tmp_path / "second"]

    for out in outs:
        train(Spec.model_validate(make_spec(trackers=[name])), out)

    for out in outs:
        expected, found = told(out), READERS[name](out)
        assert {("loss", 1), ("loss", 3), ("eval/loss", 3), ("num_tokens", 2)} < set(expected)
        assert {key: found[key] for key in expected} == pytest.approx(expected, rel=1e-6)


@pytest.mark.filterwarnings("default")
def test_mlflow_decides_itself_where_files_of_an_experiment_are(
    make_spec: MakeSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that all runs share is not told of a folder of this machine."""
    pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'shared.db'}")
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    train(Spec.model_validate(make_spec(trackers=["mlflow"])), tmp_path / "run")

    with sqlite3.connect(tmp_path / "shared.db") as connection:
        ((place,),) = connection.execute(
            "select artifact_location from experiments where name = 'plumbline'"
        ).fetchall()
    assert str(tmp_path) not in place
    assert not (tmp_path / "run" / trackers.PLACE / "mlflow.db").exists()


class Standin:
    """A tracker that notes what its environment is when it starts."""

    def __init__(self, seen: list[dict[str, str]]) -> None:
        self.seen = seen

    def start(self) -> None:
        self.seen.append(dict(os.environ))

    def store_init_configuration(self, facts: object) -> None:
        pass

    def finish(self) -> None:
        pass


def test_trackers_find_what_is_for_their_run_in_the_environment(
    make_spec: MakeSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their place is in the run's folder, and they report nothing beside it; what somebody has set stays, and after the
    run all is as before."""
    seen: list[dict[str, str]] = []
    monkeypatch.setattr(trackers, "_made", lambda *_: Standin(seen))
    for way in ("MLFLOW_TRACKING_URI", "MLFLOW_DISABLE_TELEMETRY", "WANDB_ERROR_REPORTING", "TRACKIO_DIR"):
        monkeypatch.delenv(way, raising=False)
    monkeypatch.setenv("WANDB_CONSOLE", "wrap")
    spec = Spec.model_validate(make_spec(trackers=["mlflow", "wandb", "trackio"]))
    before = dict(os.environ)
    outs = [tmp_path / "first", tmp_path / "second"]

    for out in outs:
        out.mkdir()
        with Events(out / "events.jsonl") as events, trackers.following(spec, out, events):
            pass

    assert [found["MLFLOW_TRACKING_URI"] for found in seen[::3]] == [
        f"sqlite:///{out}/trackers/mlflow.db" for out in outs
    ]
    assert [found["TRACKIO_DIR"] for found in seen[::3]] == [f"{out}/trackers/trackio" for out in outs]
    assert seen[0]["MLFLOW_DISABLE_TELEMETRY"] == "true"
    assert seen[0]["WANDB_ERROR_REPORTING"] == "false"
    assert seen[0]["WANDB_CONSOLE"] == "wrap"
    assert dict(os.environ) == before


def test_a_place_that_trackio_has_settled_on_is_said(
    make_spec: MakeSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It looks where to write when it is imported, which an earlier run of the process may have done."""
    from accelerate.tracking import TrackioTracker

    monkeypatch.delenv("TRACKIO_DIR", raising=False)
    for module in ("trackio", "trackio.utils"):
        monkeypatch.setitem(sys.modules, module, ModuleType(module))
    monkeypatch.setattr(sys.modules["trackio.utils"], "TRACKIO_DIR", tmp_path / "elsewhere", raising=False)
    for deed in ("start", "store_init_configuration", "finish"):
        monkeypatch.setattr(TrackioTracker, deed, lambda *_: None)
    with (
        Events(tmp_path / "events.jsonl") as events,
        trackers.following(Spec.model_validate(make_spec(trackers=["trackio"])), tmp_path, events),
    ):
        pass

    assert f"Trackio writes into {tmp_path / 'elsewhere'}" in (tmp_path / "events.jsonl").read_text()


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
