"""One run from its folder to its exit: the spec is read, events are written, every failure gets its name."""

from __future__ import annotations

import json
import os
import shutil
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from pydantic import ValidationError

from alignment.rendering import RENDERER
from alignment.training import trackers, whole
from alignment.training.errors import BadSpec, FolderInUse, bad_spec
from alignment.training.events import Events, Listener, began
from alignment.training.failures import named
from alignment.training.launch import PLACE, Seat, report, seat, train_together
from alignment.training.machine import share
from alignment.training.same import comparable
from alignment.training.spec import Spec
from alignment.training.stop import Cancelled, Stop

if TYPE_CHECKING:
    from alignment.training.loop import Summary
    from alignment.training.ranks import Ranks

SPEC = "spec.json"
EVENTS = "events.jsonl"
CHECKPOINTS = "checkpoints"
FOLDER = "state"


def start(
    spec: Spec | dict[str, Any], out: Path, listener: Listener | None = None, stop: Stop | None = None
) -> Summary:
    """Write the spec into a new folder and run it, or continue the run that it holds.

    Raises TrainingError; FolderInUse when `out` holds something else, or a run that has come to its end.
    """
    try:
        chosen = spec if isinstance(spec, Spec) else Spec.model_validate(spec)
    except ValidationError as error:
        raise bad_spec(error) from error
    chosen = chosen.located(Path.cwd())
    if (out / SPEC).is_file() and (out / EVENTS).is_file():
        _require_same(out, chosen)
    elif out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise FolderInUse(f"{out} is not an empty folder, and nothing is overwritten.", "Name a new folder.", "out")
    try:
        out.mkdir(parents=True, exist_ok=True)
        whole.replace(out / SPEC, chosen.model_dump_json(indent=2).encode())
    except OSError as error:
        raise named(error) from error
    return run_folder(out, listener, stop)


def run_folder(folder: Path, listener: Listener | None = None, stop: Stop | None = None) -> Summary:
    """Run the spec of a folder, or continue where its run stood when it was stopped, and write its events; the last
    one is `done` or `error`.

    Raises TrainingError for every failure, under its own name; FolderInUse, and nothing is written, when the run has
    come to its end or another process is at it.
    """
    share()
    place, stop = seat(), stop or Stop()
    first = place is None or place.rank == 0
    try:
        alone = place is None or (first and PLACE not in os.environ)  # else whoever started this one holds the lock
        path = folder / EVENTS
        with RENDERER.on(began(path)), Events(path if first else Path(os.devnull), listener, alone=alone) as events:
            if events.last is not None and events.last.get("type") == "done" and not events.last.get("cancelled"):
                raise FolderInUse(f"{folder} holds a run that has come to its end.", "Start a new run.", "out")
            try:
                spec = read_spec(folder / SPEC)
                if place is None and spec.devices > 1:
                    return _together(spec, folder, listener, stop)
                summary = _run(spec, folder, events, stop, place)
                events.emit("done", **summary.event())
            except Exception as error:  # every failure must reach the run's record before it ends the process
                failure = named(error)
                if place is None or not report(place.rank, failure):
                    events.emit("error", **failure.event())
                raise failure from error
            if first and not summary.cancelled:
                shutil.rmtree(folder / FOLDER, ignore_errors=True)  # nothing is left to continue
            return summary
    except OSError as error:
        raise named(error) from error


def _together(spec: Spec, folder: Path, listener: Listener | None, stop: Stop) -> Summary:
    """Train in several processes, of which the first writes the events."""
    done = train_together(folder, spec.devices, listener, stop)
    from alignment.training.loop import Summary

    return Summary.of(done)


def _run(spec: Spec, folder: Path, events: Events, stop: Stop, place: Seat | None) -> Summary:
    from alignment.training.ranks import join, part

    first = place is None or place.rank == 0
    if first:
        trackers.require(spec.trackers)
    ranks = None if place is None else join(place, spec.devices)
    events.log("starting", objective=spec.objective.name, seed=spec.seed, precision=spec.precision)
    with trackers.following(spec, folder, events) if first else nullcontext():
        if first:
            _clear(folder)
        summary = _trained(spec, folder, events, stop, ranks)
    part()  # only here: whoever has failed must not wait for the others
    return summary


def _trained(spec: Spec, folder: Path, events: Events, stop: Stop, ranks: Ranks | None) -> Summary:
    from alignment.training import resume
    from alignment.training.loop import Summary, run
    from alignment.training.prepare import prepare

    states = resume.find(folder, spec)
    if states.told:
        step, total = states.told.progress.step, states.told.progress.total_steps
        events.log(f"continuing after step {step} of {total}", step=step)
    elif events.last is not None:
        events.emit("resumed", step=0)

    try:
        prepared = prepare(spec, events, stop, ranks, states)
    except Cancelled:
        return (
            Summary(cancelled=True) if states.told is None else Summary.at(states.told.progress, folder / CHECKPOINTS)
        )

    return run(spec, prepared, folder, events, stop)


def _clear(folder: Path) -> None:
    """Remove what a killed process has left half-written."""
    for half in (folder / FOLDER, folder / CHECKPOINTS):
        whole.clear(half)


def _require_same(out: Path, spec: Spec) -> None:
    """Raise FolderInUse when the run in a folder is another one."""
    if comparable(read_spec(out / SPEC)) != comparable(spec):
        raise FolderInUse(
            f"{out} holds a run by another spec.", "Name a new folder, or give that run's spec to continue it.", "out"
        )


def read_spec(path: Path) -> Spec:
    """The spec in a YAML or JSON file; its paths are relative to that file.  Raises BadSpec naming field or line."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise BadSpec(f"{path} does not exist.", "Name the file that holds the spec.") from None
    except (OSError, UnicodeDecodeError):
        raise BadSpec(f"{path} cannot be read as UTF-8 text.", "Save the spec as UTF-8.") from None
    try:
        loaded = json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)
    except json.JSONDecodeError as error:
        raise BadSpec(f"{path.name} is not JSON: {error.msg}, line {error.lineno}.", "Correct that line.") from None
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise BadSpec(f"{path.name} is not YAML: {error.problem}, line {line}.", "Correct that line.") from None
    except yaml.YAMLError:
        raise BadSpec(f"{path.name} is not YAML.", "Save the spec as UTF-8 text.") from None
    if not isinstance(loaded, dict):
        raise BadSpec(f"{path.name} holds no fields.", "Write the spec as `name: value` lines.")
    try:
        return Spec.model_validate(loaded).located(path.parent.resolve())
    except ValidationError as error:
        raise bad_spec(error) from error
