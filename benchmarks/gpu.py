"""The training engine on a GPU: models as people use them, in bf16, against the best of TRL; and what fits where.

python -m benchmarks.gpu                                              all of it: hours; it may be stopped and goes on
python -m benchmarks.gpu --shapes qwen3-0.6b --tokens 1024 --seconds 600      what a session has time for
python -m benchmarks.gpu --tests                                      the tests that need a GPU, and what came of them
python -m benchmarks.gpu --device cpu --shapes tiny --tokens 96 --out DIR     the same in the small, anywhere

Needs `alignment/`, the extra `bench` for TRL's sides, and liger-kernel for one of them; no data and no hub.  DPO, eight
pairs in an optimizer step, random tokens: half of a sequence is its prompt.  Full training keeps its weights in bf16 on
both sides, ours with float32 masters; adapters stand beside bf16 weights.  Every measurement is a process of its own.
Each side is tried with several sizes of what it computes at once, its best then measured in turns; of ours only sizes
that take no more memory than TRL's best.  Measurements are kept in `results-gpu.json`, told in `results-gpu.md`.
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
from pathlib import Path
from typing import Any

from benchmarks.engine_side import Measured
from benchmarks.gpu_report import report
from benchmarks.gpu_work import SHAPES, Case, Rival, Seen, following, prepare, side_of

HERE = Path(__file__).parent
OUT_OF_MEMORY = ("out of memory", "OutOfMemory")


def measured(folder: Path, case: Case, rival: Rival, device: str) -> Measured | str:
    """One measurement; in words, why there is none."""
    command = [sys.executable, "-m", "benchmarks.engine_side", str(folder)]
    told = [*command, json.dumps(side_of(case, rival, device))]
    done = subprocess.run(told, capture_output=True, text=True, check=False, cwd=HERE.parent)
    if done.returncode == 0:
        found: Measured = json.loads(done.stdout.splitlines()[-1])
        return found
    if any(words in done.stderr for words in OUT_OF_MEMORY):
        return "out of memory"
    return f"failed: {(done.stderr.strip().splitlines() or ['nothing said'])[-1][:200]}"


def run(cases: Sequence[Case], kept: dict[str, Seen], device: str, until: float) -> Iterator[str]:
    """Measure what is not kept yet, one line each; stops before `until`, as far as measurements took before."""
    longest = 0.0
    with tempfile.TemporaryDirectory() as scratch:
        for case in cases:
            folder = Path(scratch) / case.shape
            folder.mkdir(exist_ok=True)
            seen = kept.setdefault(case.name, {})
            while (rival := following(seen)) is not None:
                began = time.monotonic()
                if began + longest > until:
                    return
                prepare(folder, case, device)
                found = measured(folder, case, rival, device)
                seen.setdefault(rival.key, []).append(found)
                longest = max(longest, time.monotonic() - began)
                yield f"{case.name}: {rival.key}: {found if isinstance(found, str) else round(found['seconds'], 2)}"


def machine(device: str) -> str:
    """What it was measured on."""
    import torch

    from alignment.training.machine import processor

    used = ", ".join(f"{name} {version(name)}" for name in ("torch", "transformers", "peft"))
    return f"{time.strftime('%Y-%m-%d')}: {processor(torch.device(device))}, {used}"


def tested() -> str:
    """What came of the tests that need a GPU: pytest's last line."""
    command = [sys.executable, "-m", "pytest", "-q", "-m", "cuda", "tests/alignment"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=HERE.parent)
    print(done.stdout)
    return (done.stdout.strip().splitlines() or ["nothing said"])[-1]


def asked(given: Sequence[str] | None) -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--shapes", nargs="+", choices=SHAPES, default=[name for name in SHAPES if name != "tiny"])
    parser.add_argument("--tokens", nargs="+", type=int, default=[1024, 2048, 4096])
    parser.add_argument("--tuning", nargs="+", choices=("full", "lora"), default=["full", "lora"])
    parser.add_argument("--seconds", type=float, default=float("inf"), help="stop before so many seconds have passed")
    parser.add_argument("--out", type=Path, default=HERE, help="folder of results-gpu.json and results-gpu.md")
    parser.add_argument("--tests", action="store_true", help="run the tests that need a GPU, and nothing else")
    return parser.parse_args(given)


def main(given: Sequence[str] | None = None) -> int:
    """Measure what the command line says, and write it down after every measurement."""
    wanted = asked(given)
    file: Path = wanted.out / "results-gpu.json"
    kept: dict[str, Any] = {"cases": {}, "tests": ""}
    if file.exists():
        kept = json.loads(file.read_text(encoding="utf-8"))
    about, until = machine(wanted.device), time.monotonic() + wanted.seconds

    def write() -> None:
        file.write_text(json.dumps(kept, indent=1), encoding="utf-8")
        page = report(kept["cases"], about, kept["tests"])
        (wanted.out / "results-gpu.md").write_text(page, encoding="utf-8")

    if wanted.tests:
        kept["tests"] = tested()
        write()
        return 0
    for shape in wanted.shapes:
        cases = [Case(shape, tuning == "lora", tokens) for tuning in wanted.tuning for tokens in wanted.tokens]
        for line in run(cases, kept["cases"], wanted.device, until):
            print(line, flush=True)
            write()
    return 0


if __name__ == "__main__":
    os.environ |= {"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
    sys.exit(main())
