"""One run from its folder to its exit: the spec is read, events are written, every failure gets its name."""

from __future__ import annotations

import json
import os
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from pydantic import ValidationError

from alignment.training import trackers
from alignment.training.errors import BadSpec, FolderInUse, bad_spec
from alignment.training.events import Events, Listener
from alignment.training.failures import named
from alignment.training.launch import Seat, report, seat, train_together
from alignment.training.spec import Spec
from alignment.training.stop import Cancelled, Stop

if TYPE_CHECKING:
    from alignment.training.loop import Summary
    from alignment.training.ranks import Ranks

SPEC = "spec.json"
EVENTS = "events.jsonl"


def share_processors() -> None:
    """Let idle threads sleep instead of spin: beside other busy processes, spinning makes a run many times slower.

    Takes effect only before torch is first imported.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")


def start(
    spec: Spec | dict[str, Any], out: Path, listener: Listener | None = None, stop: Stop | None = None
) -> Summary:
    """Write the spec into a new folder and run it.  Raises TrainingError; FolderInUse when `out` is not empty."""
    try:
        chosen = spec if isinstance(spec, Spec) else Spec.model_validate(spec)
    except ValidationError as error:
        raise bad_spec(error) from error
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise FolderInUse(f"{out} is not an empty folder, and nothing is overwritten.", "Name a new folder.", "out")
    try:
        out.mkdir(parents=True, exist_ok=True)
        (out / SPEC).write_text(chosen.located(Path.cwd()).model_dump_json(indent=2), encoding="utf-8")
    except OSError as error:
        raise named(error) from error
    return run_folder(out, listener, stop)


def run_folder(folder: Path, listener: Listener | None = None, stop: Stop | None = None) -> Summary:
    """Run the spec of a folder and write its events; the last one is `done` or `error`.

    Raises TrainingError for every failure, under its own name.
    """
    share_processors()
    place, stop = seat(), stop or Stop()
    first = place is None or place.rank == 0
    try:
        with Events(folder / EVENTS if first else Path(os.devnull), listener) as events:
            try:
                if first:
                    _require_new(folder)
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
            return summary
    except OSError as error:
        raise named(error) from error


def _require_new(folder: Path) -> None:
    if (folder / EVENTS).stat().st_size > 0:
        raise FolderInUse(f"{folder} has already been run.", "Start a new run.", "out")


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
        summary = _trained(spec, folder, events, stop, ranks)
    part()  # only here: whoever has failed must not wait for the others
    return summary


def _trained(spec: Spec, folder: Path, events: Events, stop: Stop, ranks: Ranks | None) -> Summary:
    from alignment.training.prepare import prepare

    try:
        prepared = prepare(spec, events, stop, ranks)
    except Cancelled:
        from alignment.training.loop import Summary

        return Summary(cancelled=True)
    from alignment.training.loop import run

    return run(spec, prepared, folder, events, stop)


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
