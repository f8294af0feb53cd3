"""Estimates against the truth: what a run was said to take of memory, and what it took.

Every run is a process of its own, of two steps on made-up pairs of the stated lengths; its memory is the most that the
process held above what the libraries alone hold.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

from benchmarks.estimates_side import Shape, Told
from benchmarks.figure import Figure

WITHIN = 0.25
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


def measure() -> Iterable[Figure]:
    """The estimate's error for each shape, and the largest of them."""
    worst = 0.0
    for shape in SHAPES:
        told = run(shape)
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
    yield Figure("largest error of the memory", worst * 100, "%", f"at most {WITHIN:.0%}", worst <= WITHIN)


def run(shape: Shape) -> Told:
    """What was estimated and taken, from a process of its own."""
    with tempfile.TemporaryDirectory() as scratch:
        command = [sys.executable, "-m", "benchmarks.estimates_side", scratch, json.dumps(shape._asdict())]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[1])
    if done.returncode:
        raise SystemExit(f"{shape.name} failed:\n{done.stderr[-2000:]}")
    told: Told = json.loads(done.stdout.splitlines()[-1])
    return told
