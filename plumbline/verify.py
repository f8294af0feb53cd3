"""`plumbline verify`: a run that another trainer recorded, taken again here, and how far apart the two are."""

from __future__ import annotations

import contextlib
import io
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from alignment.training import TrainingError
from alignment.training.stop import Cancelled, Stop, signals
from alignment.training.trajectory import Place, Taken, Trajectory, read, take

if TYPE_CHECKING:
    from collections.abc import Callable

PUBLISHED = Path(__file__).parent / "trajectories" / "qwen2.5-0.5b-instruct-dpo.json"
APART, INTERRUPTED = 2, 130
console = Console(highlight=False)


class NotFetched(Exception):
    """What a hub, or the switch that keeps this machine offline, said instead of giving the files."""

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(reason)
        self.reason, self.remedy = reason, remedy


def run(file: Path | None, model: Path | None, data: Path | None) -> int:
    """Take a trajectory again and print each step beside the record; 0 within the tolerance, 2 beyond it.

    Local copies of `model` and `data` go before what the file names.  What a hub gives is kept in the user's cache.
    """
    stop = Stop()
    try:
        with signals(stop):
            path = file or PUBLISHED
            trajectory = read(path)
            _introduce(trajectory)
            weights = model or _local(trajectory.model, path, _fetch_model)
            pairs = data or _local(trajectory.data, path, _fetch_data)
            return _compare(trajectory, weights, pairs, stop)
    except Cancelled:
        console.print("Stopped, as asked.", style="yellow")
        return INTERRUPTED
    except NotFetched as refused:
        console.print(f"{refused.reason} {refused.remedy}", style="red")
    except TrainingError as error:
        console.print(f"{error.title}. {error.detail} {error.remedy}", style="red")
        return error.exit_code
    return 1


def _introduce(trajectory: Trajectory) -> None:
    """Say what there is to compare with, before hours go into it."""
    console.print(f"{trajectory.title}. {trajectory.source}".strip(), style="bold")
    console.print(f"{len(trajectory.steps)} of its {trajectory.settings.steps} steps are on record.")
    for place in (trajectory.model, trajectory.data):
        if place.moves:
            console.print(
                f"The record names no commit of {place.hub_id}, which may have moved on since: a difference may come "
                "from that.",
                style="yellow",
                soft_wrap=True,
            )


def _compare(trajectory: Trajectory, model: Path, data: Path, stop: Stop) -> int:
    def say(event: dict[str, Any]) -> None:
        if event["type"] == "log":
            console.print(event["message"], style="dim")

    console.print(f"{'step':>5}  {'loss':>10}  {'difference':>11}  {'gradient':>10}  {'difference':>11}")
    taken = []
    for one in take(trajectory, model, data, say, stop.check):
        taken.append(one)
        console.print(_line(one), style="" if one.within else "red")
    compared = [one for one in taken if one.recorded is not None]
    apart = [one for one in compared if not one.within]
    loss = max(abs(one.loss_difference or 0) for one in compared)
    norm = max(abs(one.norm_difference or 0) for one in compared)
    allowed = trajectory.tolerance
    console.print(
        f"{len(taken)} steps taken, {len(compared)} compared. Largest difference of the loss {loss:.2g} "
        f"(allowed {allowed.loss:.2g}), of the gradient's norm {norm:.2g} of it (allowed {allowed.grad_norm:.2g}).",
        soft_wrap=True,
    )
    if apart:
        console.print(
            f"Not the same: beyond the tolerance at {len(apart)} of {len(compared)} steps on record.", style="red"
        )
        return APART
    console.print(
        f"The same, within the tolerance, at {len(compared)} of {len(compared)} steps on record.", style="green"
    )
    return 0


def _line(one: Taken) -> str:
    loss = "" if one.loss_difference is None else f"{one.loss_difference:+.2e}"
    norm = "" if one.norm_difference is None else f"{one.norm_difference:+.4%}"
    return f"{one.step:>5}  {one.loss:>10.6f}  {loss:>11}  {one.grad_norm:>10.4f}  {norm:>11}"


def _local(place: Place, file: Path, fetch: Callable[[Place, Path], Path]) -> Path:
    """Where the files are: beside the trajectory's own, or fetched into the cache.  Raises NotFetched."""
    if place.path is not None:
        return (file.parent / place.path).resolve()
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "plumbline" / "verify"
    folder = cache / f"{place.hub_id}-{place.revision}".replace("/", "--")
    folder.mkdir(parents=True, exist_ok=True)
    return fetch(place, folder)


def _fetch_model(place: Place, folder: Path) -> Path:
    """The model at its commit, files that are there already kept."""
    from backend.checkpoints.hub import Hub, token_of_environment
    from backend.checkpoints.hub_errors import Refused
    from workers.hub import download

    console.print(f"fetching {place.hub_id}", style="dim")
    try:
        with contextlib.redirect_stdout(io.StringIO()), Hub(token_of_environment()) as hub:
            download(hub, place.hub_id or "", place.revision, folder)
    except Refused as refused:
        raise NotFetched(refused.reason, f"{refused.remedy} Or name a local copy with --model.") from refused
    return folder


def _fetch_data(place: Place, folder: Path) -> Path:
    """All rows of the split, as JSON lines."""
    from alignment.formats import FileRefused
    from backend.checkpoints.hub import Hub, token_of_environment
    from backend.checkpoints.hub_errors import Refused
    from backend.datasets import hub as datasets_hub
    from backend.datasets.schemas import FromHub
    from backend.settings import Settings

    token = token_of_environment()
    try:
        with Hub(token) as hub:
            commit = hub.look_at_dataset(place.hub_id or "", place.revision).commit
        path, part = folder / f"{commit}-{place.config}-{place.split}.jsonl", folder / "rows.part"
        if not path.exists():
            console.print(f"fetching {place.hub_id} at {commit}", style="dim")
            part.unlink(missing_ok=True)
            origin = FromHub(hub_id=place.hub_id or "", commit=commit, config=place.config, split=place.split)
            datasets_hub.fetch(origin, token, part, Settings(), lambda _: None)
            part.rename(path)
    except (Refused, FileRefused) as refused:
        raise NotFetched(refused.reason, f"{refused.remedy} Or name a local copy with --data.") from refused
    return path
