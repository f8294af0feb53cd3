"""Estimates against the truth: what a run was said to take of memory, steps, tokens and time, and what it took.

Every run is a process of its own that passes once over made-up pairs of the stated lengths; its memory is the most that
the process held above what the libraries alone hold.  The time is told as to a first run, by how fast a probe finds
this machine, and taken from the start of the process to its end.
"""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple
from uuid import UUID

from alignment.formats import Item, read
from alignment.formats.split import split_of
from alignment.training import timing
from alignment.training.estimate import estimate
from alignment.training.spec import Spec
from alignment.training.timing import Speed
from backend.runs.lengths import Sample, of_run
from backend.runs.schemas import RunIn
from benchmarks.estimates_side import Shape, Told, spec_of
from benchmarks.figure import Figure

SOME = UUID(int=0)
WITHIN, COUNTED_WITHIN = 0.25, 0.02
SHAPES = (
    Shape(name="9M full, fp32, short"),
    Shape(name="9M full, fp32, long", prompt=800, response=300),
    Shape(name="9M full, fp32, long, checkpointing", prompt=800, response=300, gradient_checkpointing="on"),
    Shape(name="9M full, fp32, packs of 4096", tokens=4096),
    Shape(name="9M full, fp32, packs of 4096, checkpointing", tokens=4096, gradient_checkpointing="on"),
    Shape(name="9M LoRA, fp32, long", prompt=800, response=300, tuning="lora"),
    Shape(name="9M LoRA, fp32, packs of 4096", tokens=4096, tuning="lora"),
    Shape(name="30M full, fp32, short", hidden=512),
    Shape(name="30M full, bf16, short", hidden=512, precision="bf16"),
    Shape(name="30M full, pure bf16, short", hidden=512, precision="pure_bf16"),
    Shape(name="30M LoRA, bf16, short", hidden=512, precision="bf16", tuning="lora"),
    Shape(name="30M full, fp32, plain rows, packs of 2048", hidden=512, tokens=2048, kind="stablelm"),
)


class Foretold(NamedTuple):
    """What was said of a run before it began."""

    steps: int
    tokens: int
    tokens_computed: int
    seconds: tuple[float, float]


def measure() -> Iterable[Figure]:
    """What was told of each shape against the truth, and the largest error of the memory."""
    worst = 0.0
    speed = timing.measured()
    if speed is None:
        raise SystemExit("The probe failed: python -m alignment.training.probe says why.")
    for shape in SHAPES:
        foretold, told, seconds = run(shape, speed)
        error = told["estimated"] / told["taken"] - 1
        worst = max(worst, abs(error))
        parts = ", ".join(f"{name} {size / 2**20:.0f}" for name, size in told["parts"].items())
        yield Figure(
            f"{shape.name}: memory, against what was taken",
            told["estimated"] / told["taken"],
            "times",
            target=f"within {WITHIN:.0%}",
            met=abs(error) <= WITHIN,
            note=f"{told['estimated'] / 2**20:.0f} against {told['taken'] / 2**20:.0f} MiB; {parts};"
            f" {told['tokens_per_second']:,.0f} tokens/s",
        )
        yield from _counted(shape, foretold, told)
        low, high = foretold.seconds
        target, met = f"{low:.0f} to {high:.0f} s, as was told", low <= seconds <= high
        yield Figure(f"{shape.name}: time", seconds, "s", target, met, "wall time, of a process that trains")
    yield Figure("largest error of the memory", worst * 100, "%", f"at most {WITHIN:.0%}", worst <= WITHIN)


def _counted(shape: Shape, foretold: Foretold, told: Told) -> Iterable[Figure]:
    """What could be counted beforehand, against what was counted."""
    for what, said, true in (
        ("steps", foretold.steps, told["steps"]),
        ("tokens", foretold.tokens, told["tokens"]),
        ("tokens that are computed", foretold.tokens_computed, told["tokens_computed"]),
    ):
        error = said / true - 1
        target, met = f"at most {COUNTED_WITHIN:.0%}", abs(error) <= COUNTED_WITHIN
        yield Figure(f"{shape.name}: error of {what}", error * 100, "%", target, met, f"{said:,} against {true:,}")


def run(shape: Shape, speed: Speed) -> tuple[Foretold, Told, float]:
    """What was told of a run, what it took, in a process of its own, and its seconds."""
    with tempfile.TemporaryDirectory() as scratch:
        command = [sys.executable, "-m", "benchmarks.estimates_side", scratch, json.dumps(shape._asdict())]
        _done(shape, [*command, "make"])
        foretold = foretell(Path(scratch), shape, speed)
        began = time.monotonic()
        said = _done(shape, command)
        seconds = time.monotonic() - began
    told: Told = json.loads(said.splitlines()[-1])
    return foretold, told, seconds


def _done(shape: Shape, command: Sequence[str]) -> str:
    """What the command has printed."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[1])
    if done.returncode:
        raise SystemExit(f"{shape.name} failed:\n{done.stderr[-2000:]}")
    return done.stdout


def foretell(folder: Path, shape: Shape, speed: Speed) -> Foretold:
    """What the launch form would say of a first run of this shape, whose model and pairs lie in the folder."""
    given = spec_of(folder, shape)
    spec = Spec.model_validate(given)
    settings = {name: value for name, value in given.items() if name not in ("checkpoint", "snapshots")}
    body = RunIn.model_validate({"name": shape.name, "checkpoint_id": SOME, "dataset_id": SOME, **settings})
    samples: dict[str, list[Sample]] = {"train": [], "validation": [], "test": []}
    for item in read(folder / "pairs.jsonl", "trl"):
        assert isinstance(item, Item)
        samples[split_of("", item.prompt_hash)].append(Sample([*item.prompt], [*item.responses], {}))
    train, validation = len(samples["train"]), len(samples["validation"])
    lengths = of_run(body, spec.checkpoint, samples["train"])
    assert lengths is not None
    found = estimate(spec, train, "cpu", lengths)
    assert found.tokens is not None
    assert found.tokens_computed is not None
    seconds = timing.seconds(spec, found, lengths, train, validation, speed)
    return Foretold(found.steps, found.tokens, found.tokens_computed, seconds)
