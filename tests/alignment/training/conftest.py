"""A tiny checkpoint, snapshots of made-up pairs, and specs that join them."""

import json
import os
import random
import shutil
import signal
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from alignment.formats import snapshot
from alignment.training import Spec
from tests.checkpoints import make_llama

TEXT = "the cat sat on a mat and dogs ran fast over long hills under warm sun please thank you sorry never"
WORDS = TEXT.split()
MakeSnapshot = Callable[..., Path]
MakeSpec = Callable[..., dict[str, Any]]
Another = Callable[[str, float], Path]


def sentence(rng: random.Random, low: int = 3, high: int = 9) -> str:
    return " ".join(rng.choices(WORDS, k=rng.randint(low, high)))


def examples(count: int, validation: int, seed: int = 0) -> list[snapshot.Example]:
    rng = random.Random(seed)
    return [
        snapshot.Example(
            id=f"example-{index}",
            split="validation" if index < validation else "train",
            prompt=[{"role": "user", "content": sentence(rng)}],
            responses=[
                {"role": "assistant", "content": f"thank you {sentence(rng)}"},
                {"role": "assistant", "content": f"never {sentence(rng)}"},
            ],
        )
        for index in range(count + validation)
    ]


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    """Tiny matrices gain nothing from threads, and lose much beside other processes."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Llama folder with random weights."""
    rng = random.Random(1)
    return make_llama(tmp_path_factory.mktemp("models") / "base", [sentence(rng) for _ in range(200)])


@pytest.fixture
def make_snapshot(tmp_path: Path) -> MakeSnapshot:
    """Writes a snapshot of the given examples, or of made-up ones."""

    def make(rows: list[snapshot.Example] | None = None, *, count: int = 12, validation: int = 4) -> Path:
        chosen = examples(count, validation) if rows is None else rows
        manifest = snapshot.write(tmp_path / "snapshots", chosen, kind="paired", policy={}, dataset={})
        return tmp_path / "snapshots" / manifest.hash

    return make


@pytest.fixture
def make_spec(base: Path, make_snapshot: MakeSnapshot) -> MakeSpec:
    """A small run's spec as plain data, with parts replaced by name."""

    def make(**parts: Any) -> dict[str, Any]:
        if "snapshots" not in parts:
            parts["snapshots"] = [{"path": str(make_snapshot())}]
        return small(base, **parts)

    return make


def small(base: Path, /, **parts: Any) -> dict[str, Any]:
    """The spec of a small run as plain data, whose parts must name snapshots."""
    return {
        "checkpoint": str(base),
        "objective": {"name": "dpo", "beta": 0.1},
        "optimizer": {"learning_rate": 1e-3, "warmup_ratio": 0},
        "batch": {"examples_per_step": 4},
        "duration": {"steps": 3},
        "evaluate": {"every_steps": 100, "samples": 1},
        "length": {"max_response_tokens": 32},
        **parts,
    }


def written(folder: Path, spec: dict[str, Any]) -> Path:
    """A new folder that holds the spec."""
    folder.mkdir()
    (folder / "spec.json").write_text(json.dumps(spec))
    return folder


def fork(run: Callable[[], object]) -> int:
    """The number of a process of its own that does this; it has torch already, which takes others seconds."""
    child = os.fork()
    if child == 0:
        try:
            run()
            os._exit(0)
        finally:
            traceback.print_exc()
            os._exit(1)
    return child


def ended(child: int, seconds: float = 300.0) -> int:
    """How it ended, once it has: as `subprocess` tells it.  Raises AssertionError when it does not."""
    deadline = time.monotonic() + seconds
    while (found := os.waitpid(child, os.WNOHANG)) == (0, 0):
        if time.monotonic() > deadline:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            raise AssertionError("the process did not end")
        time.sleep(0.02)
    return os.waitstatus_to_exitcode(found[1])


@pytest.fixture
def spec(make_spec: MakeSpec) -> Spec:
    """The plainest run."""
    return Spec.model_validate(make_spec())


@pytest.fixture
def another(base: Path, tmp_path: Path) -> Another:
    """Makes a checkpoint that reads text as `base` does, with other weights: a guide, a teacher, a reference."""

    return lambda name, by: moved(base, tmp_path / name, by)


def moved(base: Path, folder: Path, by: float) -> Path:
    """A copy of a checkpoint whose weights are others by so much; its name decides in which direction."""
    shutil.copytree(base, folder)
    generator = torch.Generator().manual_seed(len(folder.name))
    changed = {
        key: value + by * torch.randn(value.shape, generator=generator)
        for key, value in load_file(folder / "model.safetensors").items()
    }
    save_file(changed, folder / "model.safetensors", {"format": "pt"})
    return folder
