"""Whole runs of the training engine: cost by the size of the data, what is not computing, and a second run's start.

python -m benchmarks.run engine_run      needs the public data beside the checkout

The runs are those of the command line: data read and encoded, reference computed or found, steps, events, checkpoint.
Every run is a process of its own, on a Llama of nine million parameters.  Runs of different size take turns, each
with no reference to find.  What is not computing is what one thread alone spends elsewhere: where packs are computed
beside each other, one lane's computing would hide what another does.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable
from functools import wraps
from pathlib import Path
from typing import Any, TypedDict, TypeVar

from benchmarks.engine_work import SHARED, make_model, pairs
from benchmarks.figure import Figure

SIZES = (32, 128, 512)
ROUNDS = 3
EXAMPLES = 16
NOTHING: dict[str, str] = {}
ALONE = {"OMP_NUM_THREADS": "1"}
FASTEST_START, MOST_OVERHEAD = 1.0, 3.0
F = TypeVar("F", bound=Callable[..., Any])


class Run(TypedDict):
    """Seconds of one run, the loading of the model left out."""

    reference: float
    steps: float
    computing: float  # of the steps: forward and backward passes and the optimizer's step
    until_first_step: float  # from the loaded model on
    examples: int


def measure() -> Iterable[Figure]:
    """Figures of whole runs."""
    if not SHARED.is_dir():
        raise SystemExit("The public data is not beside this checkout; the engine's benchmark needs its pairs.")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        make_model(folder / "model")
        rows = [
            {"prompt": prompt, "chosen": chosen, "rejected": rejected}
            for prompt, chosen, rejected in pairs("pairwise_hh_helpful.jsonl")
        ]
        for size in SIZES:
            data = folder / f"{size}.jsonl"
            data.write_text("".join(json.dumps(row) + "\n" for row in rows[:size]), encoding="utf-8")
        rates: dict[int, list[float]] = {size: [] for size in SIZES}
        for turn in range(ROUNDS):
            for size in SIZES:
                found = _run(folder, size, f"first-{turn}", f"{size}-{turn}")
                rates[size].append((found["reference"] + found["steps"]) / found["examples"])
        for size, seconds in rates.items():
            note = f"{min(seconds):.3g} to {max(seconds):.3g}, {ROUNDS} runs, with the reference"
            yield Figure(f"{size} pairs: seconds for each", statistics.median(seconds), "s", note=note)
        growths = [most / least for least, most in zip(rates[SIZES[0]], rates[SIZES[-1]], strict=True)]
        growth = statistics.median(growths)
        yield Figure(
            f"cost of a pair, {SIZES[-1]} against {SIZES[0]} pairs",
            growth,
            "times",
            "at most 1.2 times",
            growth <= 1.2,
            f"{min(growths):.3g} to {max(growths):.3g}",
        )
        alone = _run(folder, SIZES[1], "alone", "alone", ALONE)
        share = 100 * (1 - alone["computing"] / alone["steps"])
        yield Figure(
            "outside forward, backward and step",
            share,
            "%",
            f"at most {MOST_OVERHEAD:g} %",
            share <= MOST_OVERHEAD,
            f"one thread; with two lanes nobody computes in {100 * (1 - found['computing'] / found['steps']):.2g} %",
        )
        again = _run(folder, SIZES[-1], "second", f"{SIZES[-1]}-{ROUNDS - 1}")
        start = again["until_first_step"]
        note = f"{SIZES[-1]} pairs; the first run took {found['until_first_step']:.1f} s"
        yield Figure(
            "a second run on the same data: from loaded model to first step",
            start,
            "s",
            f"at most {FASTEST_START:g} s",
            start <= FASTEST_START,
            note,
        )


def _run(folder: Path, size: int, name: str, references: str, more: dict[str, str] = NOTHING) -> Run:
    """One run, with the references that were kept under that name."""
    command = [sys.executable, "-m", "benchmarks.engine_run", str(folder), str(size), name]
    kept = {"PLUMBLINE_REFERENCE_CACHE": str(folder / "references" / references), "HF_HUB_OFFLINE": "1"}
    environment = os.environ | kept | more
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        raise SystemExit(f"The run on {size} pairs failed:\n{done.stderr[-2000:]}")
    found: Run = json.loads(done.stdout.splitlines()[-1])
    return found


class Stopwatch:
    """Adds up the seconds in which any thread is inside of the functions that it watches."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._inside = 0
        self._began = 0.0
        self._lock = threading.Lock()

    def watch(self, function: F) -> F:
        @wraps(function)
        def timed(*arguments: Any, **named: Any) -> Any:
            self._count(1)
            try:
                return function(*arguments, **named)
            finally:
                self._count(-1)

        return timed  # type: ignore[return-value]

    def _count(self, more: int) -> None:
        with self._lock:
            now = time.perf_counter()
            if self._inside:
                self.seconds += now - self._began
            self._inside, self._began = self._inside + more, now


def _spec(folder: Path, size: int) -> dict[str, Any]:
    return {
        "checkpoint": str(folder / "model"),
        "snapshots": [{"path": str(folder / f"{size}.jsonl"), "format": "trl"}],
        "objective": {"name": "dpo", "beta": 0.1},
        "batch": {"examples_per_step": EXAMPLES},
        "evaluate": {"every_steps": 100_000, "samples": 0},
        "length": {"max_prompt_tokens": 1024, "max_response_tokens": 512},
    }


def _watched() -> Stopwatch:
    """A stopwatch for the arithmetic of training."""
    import torch

    from alignment.training.scorer import Scorer

    watch = Stopwatch()
    Scorer.forward = watch.watch(Scorer.forward)  # type: ignore[method-assign]
    torch.autograd.backward = watch.watch(torch.autograd.backward)
    torch.nn.utils.clip_grad_norm_ = watch.watch(torch.nn.utils.clip_grad_norm_)
    torch.optim.AdamW.step = watch.watch(torch.optim.AdamW.step)  # type: ignore[method-assign]
    return watch


def main() -> None:
    """One run on the first pairs of the data, timed by its events."""
    folder, size, name = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    from alignment.training.machine import share
    from alignment.training.run import start

    share()
    watch = _watched()
    events: list[tuple[float, float, dict[str, Any]]] = []
    start(
        _spec(folder, size),
        folder / f"run-{size}-{name}",
        lambda event: events.append((time.perf_counter(), watch.seconds, event)),
    )
    logged = {str(event.get("message", "")).split()[0]: (at, event) for at, _, event in events if "message" in event}
    steps = [one for one in events if one[2]["type"] == "step" and one[2]["examples"]]
    before = max(place for place, one in enumerate(events) if one[2]["type"] == "log" and one[0] < steps[0][0])
    first = steps[0][0] - steps[0][2]["seconds"]
    found = Run(
        reference=logged["reference"][1]["seconds"],
        steps=steps[-1][0] - first,
        computing=steps[-1][1] - events[before][1],
        until_first_step=first - logged["training"][0],
        examples=sum(event["examples"] for _, _, event in steps),
    )
    print(json.dumps(found))


if __name__ == "__main__":
    main()
