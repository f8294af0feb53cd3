"""Copies of a run's metrics for TensorBoard, Weights & Biases, MLflow and Trackio, through accelerate's trackers.

They are written by the first process, from the same events that the workbench reads, into `trackers/` of the run's
folder; who logs in elsewhere does so in the environment, never in a spec.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from alignment.training.errors import BadSpec

if TYPE_CHECKING:
    from accelerate.tracking import GeneralTracker

    from alignment.training.events import Events
    from alignment.training.spec import Spec, TrackerName

PLACE = "trackers"
PROJECT = "plumbline"
OFFLINE = "PLUMBLINE_OFFLINE"


class _Kind(NamedTuple):
    """A tracker: what its users call it, what must be installed, what in the environment sends it elsewhere, and what
    it finds there during a run where nobody has said otherwise."""

    title: str
    packages: tuple[str, ...]
    ways: tuple[str, ...] = ()
    environment: Mapping[str, str] = {}


KINDS: Mapping[TrackerName, _Kind] = {
    "tensorboard": _Kind("TensorBoard", ("tensorboardX", "tensorboard")),
    "trackio": _Kind(
        "Trackio",
        ("trackio",),
        ("TRACKIO_SPACE_ID", "TRACKIO_SERVER_URL", "TRACKIO_WEBHOOK_URL"),
        {"TRACKIO_DIR": "{place}/trackio"},
    ),
    # neither what the terminal shows nor its own defects are sent along
    "wandb": _Kind(
        "Weights & Biases", ("wandb",), environment={"WANDB_CONSOLE": "off", "WANDB_ERROR_REPORTING": "false"}
    ),
    "mlflow": _Kind(
        "MLflow",
        ("mlflow",),
        ("MLFLOW_TRACKING_URI",),
        {"MLFLOW_TRACKING_URI": "sqlite:///{place}/mlflow.db", "MLFLOW_DISABLE_TELEMETRY": "true"},
    ),
}


def require(names: Sequence[TrackerName]) -> None:
    """Raise BadSpec for a tracker that is not installed, or that would leave a machine that stays offline."""
    for name in names:
        kind = KINDS[name]
        if not any(find_spec(package) for package in kind.packages):
            raise BadSpec(
                f"{kind.title} is not installed where the run trains.", f"pip install {kind.packages[0]}", "trackers"
            )
        way = next((way for way in kind.ways if _leaves(os.environ.get(way, ""))), None)
        if offline() and way is not None:
            raise BadSpec(
                f"{way} sends {kind.title}'s metrics elsewhere, and {OFFLINE} keeps this machine to itself.",
                f"Unset {way}: they are then written into the run's folder.",
                "trackers",
            )


def offline() -> bool:
    """Whether this machine is told to stay offline."""
    return os.environ.get(OFFLINE, "").lower() in ("1", "true", "yes", "on")


def _leaves(address: str) -> bool:
    """Whether an address, as MLflow writes them, is neither a file nor empty."""
    return bool(address) and not address.startswith(("file:", "sqlite:", "/", "."))


@contextmanager
def following(spec: Spec, folder: Path, events: Events) -> Iterator[None]:
    """While the run says its events, the spec's trackers are told of every step.

    Raises BadSpec when one does not start.  One that fails later is left out, with a line in the run's log: a copy of
    the metrics must not end the run.
    """
    with _environment(spec.trackers, folder / PLACE):
        trackers = {name: _started(name, folder, _facts(spec), events) for name in spec.trackers}

        def tell(event: dict[str, Any]) -> None:
            if event["type"] != "step":
                return
            values = {name: value for name, value in event["values"].items() if value is not None}
            for name in list(trackers):
                _or_leave(trackers, name, lambda tracker: tracker.log(values, step=event["step"]), events)

        if trackers:
            events.follow(tell)
        try:
            yield
        finally:
            for name in list(trackers):
                _or_leave(trackers, name, lambda tracker: tracker.finish(), events)


@contextmanager
def _environment(names: Sequence[TrackerName], place: Path) -> Iterator[None]:
    """Meanwhile these trackers write into `place` what the environment does not send elsewhere; the process's next run
    finds the environment as this one did."""
    wanted = {way: value for name in names for way, value in KINDS[name].environment.items()}
    ours = {way: value.format(place=place) for way, value in wanted.items() if way not in os.environ}
    os.environ.update(ours)
    try:
        yield
    finally:
        for way in ours:
            os.environ.pop(way, None)


def _or_leave(
    trackers: dict[TrackerName, GeneralTracker],
    name: TrackerName,
    deed: Callable[[GeneralTracker], object],
    events: Events,
) -> None:
    try:
        deed(trackers[name])
    except Exception as error:  # noqa: BLE001  (whatever a foreign library raises: it is named, and told no more)
        del trackers[name]
        what = type(error).__name__
        events.log(f"{KINDS[name].title} failed ({what}) and is told no more", "warning", tracker=name)


def _started(name: TrackerName, folder: Path, facts: dict[str, Any], events: Events) -> GeneralTracker:
    from accelerate import PartialState

    PartialState()  # what accelerate's trackers write their own log through
    place = folder / PLACE
    place.mkdir(exist_ok=True)
    try:
        tracker = _made(name, place, folder.name, events)
        tracker.start()
        tracker.store_init_configuration(facts)
    except Exception as error:  # whatever a foreign library raises when nobody is logged in or a server is away
        with suppress(OSError):
            place.rmdir()
        raise BadSpec(
            f"{KINDS[name].title} did not start ({type(error).__name__}).",
            "Log in on the machine that trains, by its own environment variables, or leave it out.",
            "trackers",
        ) from error
    events.log(f"{KINDS[name].title} is told of every step", tracker=name)
    return tracker


def _made(name: TrackerName, place: Path, run: str, events: Events) -> GeneralTracker:
    """The tracker of accelerate, told to write into `place` what it does not send elsewhere."""
    from accelerate import tracking

    made: GeneralTracker
    match name:
        case "tensorboard":
            made = tracking.TensorBoardTracker("tensorboard", place)
        case "trackio":
            from trackio import utils

            settled = getattr(utils, "TRACKIO_DIR", None)  # when it was first imported; a name of its own use
            if settled is not None and Path(os.environ["TRACKIO_DIR"]) != settled:
                said = f"Trackio writes into {settled}, as it has begun to in this process"
                events.log(said, "warning", tracker=name)
            made = tracking.TrackioTracker(PROJECT, name=run, embed=False, auto_log_gpu=False, auto_log_cpu=False)
        case "wandb":
            mode = {"mode": "offline"} if offline() else {}
            made = tracking.WandBTracker(PROJECT, dir=str(place), name=run, **mode)
        case "mlflow":
            made = tracking.MLflowTracker(PROJECT, run_name=run)
    return made


def _facts(spec: Spec) -> dict[str, Any]:
    """The spec as flat names and plain values; of folders their names alone."""
    found: dict[str, Any] = {"checkpoint": spec.checkpoint.name}

    def add(path: str, value: Any) -> None:
        if isinstance(value, dict):
            for name, inner in value.items():
                add(f"{path}.{name}" if path else name, inner)
        elif value is not None:
            found[path] = value if isinstance(value, (bool, int, float, str)) else str(value)

    add("", spec.model_dump(mode="json", exclude={"checkpoint", "reference", "third", "snapshots", "trackers"}))
    return found
