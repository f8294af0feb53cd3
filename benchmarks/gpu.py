"""The training engine on a GPU: models as people use them, in bf16, against the best of TRL; and what fits where.

python -m benchmarks.gpu                                              all of it: hours; it may be stopped and goes on
python -m benchmarks.gpu --shapes qwen3-0.6b --tokens 1024 --seconds 600      what a session has time for
python -m benchmarks.gpu --tests                                      the tests that need a GPU, and what came of them
python -m benchmarks.gpu --device cpu --shapes tiny --tokens 96 --out DIR     the same in the small, anywhere

Needs `alignment/`, the extra `bench` for TRL's sides, and liger-kernel for one of them; no data and no hub.  DPO, eight
pairs in an optimizer step, random tokens: half of a sequence is its prompt.  Full training keeps its weights in bf16 on
both sides, ours with float32 masters; adapters stand beside bf16 weights.  The reference is given on both sides, found
before what is timed, so that no side holds a second model.  TRL attends by torch's own kernels (`sdpa`).  Every
measurement is a process of its own, on one GPU.  Each side is tried with several sizes of what it computes at once, and
with layers computed again or not; the best are then measured in turns, of ours only those that take no more memory
than TRL's best.  Measurements are kept in `results-gpu.json` by machine, told in `results-gpu.md`.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from itertools import groupby
from pathlib import Path

from benchmarks.engine_side import Measured
from benchmarks.gpu_report import report
from benchmarks.gpu_work import SHAPES, Case, Rival, Seen, following, prepare, side_of

HERE = Path(__file__).parent
OUT_OF_MEMORY = ("out of memory", "OutOfMemory")
FAILED = "failed"
LONGEST = 1800.0  # seconds that one measurement may take


def measured(folder: Path, case: Case, rival: Rival, device: str, seconds: float) -> Measured | str:
    """One measurement on the first of the devices that are seen; in words, why there is none."""
    command = [sys.executable, "-m", "benchmarks.engine_side", str(folder), json.dumps(side_of(case, rival, device))]
    first = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0]  # TRL would divide a batch among all of them
    alone = os.environ | {"CUDA_VISIBLE_DEVICES": first}
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, cwd=HERE.parent, env=alone, timeout=seconds
        )
    except subprocess.TimeoutExpired:
        return f"{FAILED}: it took more than {seconds:.0f} s"
    if done.returncode == 0:
        found: Measured = json.loads(done.stdout.splitlines()[-1])
        return found
    if any(words in done.stderr for words in OUT_OF_MEMORY):
        return "out of memory"
    return f"{FAILED}: {(done.stderr.strip().splitlines() or ['nothing said'])[-1][:200]}"


def run(cases: Sequence[Case], kept: dict[str, Seen], device: str, until: float) -> Iterator[str]:
    """Measure what is not kept yet, one line each; stops before `until`, as far as measurements took before."""
    longest = 0.0
    for shape, some in groupby(cases, key=lambda case: case.shape):
        with tempfile.TemporaryDirectory(prefix=shape) as scratch:
            for case in some:
                seen = kept.setdefault(case.name, {})
                while (rival := following(seen)) is not None:
                    began = time.monotonic()
                    if began + longest > until:
                        return
                    prepare(Path(scratch), case, device)
                    found = measured(Path(scratch), case, rival, device, min(LONGEST, max(60, until - began)))
                    seen.setdefault(rival.key, []).append(found)
                    longest = max(longest, time.monotonic() - began)
                    said = found if isinstance(found, str) else f"{found['seconds']:.2f} s"
                    yield f"{case.name}: {rival.key}: {said}"


def machine(device: str) -> str:
    """What it was measured on."""
    import torch

    from alignment.training.machine import processor

    used = ", ".join(f"{name} {version(name)}" for name in ("torch", "transformers", "peft"))
    return f"{processor(torch.device(device))}, {used}"


def tested() -> tuple[int, str]:
    """What came of the tests that need a GPU: pytest's status and last line."""
    command = [sys.executable, "-m", "pytest", "-q", "-m", "cuda", "tests/alignment"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=HERE.parent)
    print(done.stdout)
    return done.returncode, (done.stdout.strip().splitlines() or ["nothing said"])[-1]


def asked(given: Sequence[str] | None) -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu")
    parser.add_argument("--device", default="cuda", choices=("cuda", "cpu"))
    parser.add_argument("--shapes", nargs="+", choices=SHAPES, default=[name for name in SHAPES if name != "tiny"])
    parser.add_argument("--tokens", nargs="+", type=int, default=[1024, 2048, 4096])
    parser.add_argument("--tuning", nargs="+", choices=("full", "lora"), default=["full", "lora"])
    parser.add_argument("--seconds", type=float, default=float("inf"), help="stop before so many seconds have passed")
    parser.add_argument("--out", type=Path, default=HERE, help="folder of results-gpu.json and results-gpu.md")
    parser.add_argument("--tests", action="store_true", help="run the tests that need a GPU, and nothing else")
    return parser.parse_args(given)


class Results:
    """What was measured on one kind of machine, in two files of a folder; another machine's begin anew."""

    def __init__(self, folder: Path, machine: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._file, self._page = folder / "results-gpu.json", folder / "results-gpu.md"
        self._machine = machine
        known = json.loads(self._file.read_text(encoding="utf-8")) if self._file.exists() else {}
        if known.get("machine") != machine:
            known = {}
        self.tests: str = known.get("tests", "")
        self.cases: dict[str, Seen] = {
            name: {rival: kept for rival, found in seen.items() if (kept := [one for one in found if not failed(one)])}
            for name, seen in known.get("cases", {}).items()
        }

    def write(self) -> None:
        """Afterwards both files have all of it."""
        told = {"machine": self._machine, "tests": self.tests, "cases": self.cases}
        self._file.write_text(json.dumps(told, indent=1), encoding="utf-8")
        self._page.write_text(report(self.cases, self._machine, self.tests), encoding="utf-8")


def failed(one: Measured | str) -> bool:
    """Whether a measurement is worth another try."""
    return isinstance(one, str) and one.startswith(FAILED)


def main(given: Sequence[str] | None = None) -> int:
    """Measure what the command line says, and write it down after every measurement."""
    wanted = asked(given)
    results, until = Results(wanted.out, machine(wanted.device)), time.monotonic() + wanted.seconds
    if wanted.tests:
        status, results.tests = tested()
        results.write()
        return status
    cases = [
        Case(shape, tuning == "lora", tokens)
        for shape in wanted.shapes
        for tuning in wanted.tuning
        for tokens in wanted.tokens
    ]
    for line in run(cases, results.cases, wanted.device, until):
        print(line, flush=True)
        results.write()
    return 0


if __name__ == "__main__":
    os.environ |= {"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
    sys.exit(main())
