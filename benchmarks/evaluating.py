"""Evaluations: the share of a worker's time that answers and judges, and searching snapshots for prompts.

Two copies of the toy world's checkpoint answer, and a third judges in both side orders, in a real worker's code over
real servers. Loading the models counts as neither; writing answers down while others are drawn is taken out.
"""

import os
import random
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import alignment.toyworld
from alignment.contamination import Prompts
from alignment.formats import snapshot
from backend.accounts.models import Role, User
from backend.checkpoints.models import Checkpoint, Source
from backend.db import transaction
from backend.evaluations import service
from backend.evaluations.models import Evaluation
from backend.evaluations.schemas import EvaluationIn
from backend.projects import members
from backend.projects.models import Project
from benchmarks.figure import Figure
from benchmarks.inside import inside

PROMPTS = int(os.environ.get("PLUMBLINE_BENCH_PROMPTS", "200"))
ROWS = int(os.environ.get("PLUMBLINE_BENCH_ROWS", "100000"))
LOOKED_FOR = 1_000
WORDS = 60  # of a training prompt
PROMISED = 0.9


def measure() -> Iterator[Figure]:
    """The search first, which needs no servers."""
    with tempfile.TemporaryDirectory() as folder:
        yield searched(Path(folder))
    with inside() as here:
        yield evaluated(here.folder)


def searched(folder: Path) -> Figure:
    """Reading a snapshot of a hundred thousand examples for a thousand prompts, one in ten of which it holds."""
    generator = random.Random(0)
    vocabulary = [f"word{number}" for number in range(20_000)]

    def prompt() -> list[Any]:
        return [{"role": "user", "content": " ".join(generator.choices(vocabulary, k=WORDS))}]

    answers: list[Any] = [{"role": "assistant", "content": text} for text in ("Yes.", "No.")]
    wanted = [prompt() for _ in range(LOOKED_FOR)]
    own = (wanted[10 * number] if number < LOOKED_FOR // 10 else prompt() for number in range(ROWS))
    examples = (snapshot.Example(str(number), "train", one, answers) for number, one in enumerate(own))
    made = snapshot.write(folder, examples, kind="paired", policy={}, dataset={})
    begun = time.perf_counter()
    index = Prompts(wanted)
    stands = index.nothing()
    index.find(stands, snapshot.read_prompts(folder / made.hash, "train"))
    seconds = time.perf_counter() - begun
    assert index.seen(stands).any.sum() == LOOKED_FOR // 10
    note = f"{LOOKED_FOR:,} prompts in a snapshot of {ROWS:,} examples of {WORDS} words"
    return Figure("prompts searched for in training data", seconds, "s", note=note)


class Clock:
    """Seconds spent in what is wrapped, less those spent in what it calls back."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def wrap(self, act: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*given: Any, answered: Callable[..., None], **more: Any) -> Any:
            def back(*said: Any) -> None:
                begun = time.perf_counter()
                answered(*said)
                self.seconds -= time.perf_counter() - begun

            begun = time.perf_counter()
            try:
                return act(*given, answered=back, **more)
            finally:
                self.seconds += time.perf_counter() - begun

        return timed

    def each(self, decide: Callable[..., Iterator[Any]]) -> Callable[..., Iterator[Any]]:
        def timed(*given: Any) -> Iterator[Any]:
            found = decide(*given)
            while True:
                begun = time.perf_counter()
                rows = next(found, None)
                self.seconds += time.perf_counter() - begun
                if rows is None:
                    return
                yield rows

        return timed


def evaluated(folder: Path) -> Figure:
    """The share of one evaluation."""
    from workers import judging
    from workers.answering import SHELF
    from workers.tasks import evaluate

    row_id = _launch(folder)
    clock, loading = Clock(), 0.0
    wrapped: set[int] = set()
    get, ready = SHELF.get, judging.ready

    def shelf(*given: Any) -> Any:
        nonlocal loading
        begun = time.perf_counter()
        found = get(*given)
        loading += time.perf_counter() - begun
        if id(found) not in wrapped:
            wrapped.add(id(found))
            found.generate = clock.wrap(found.generate)  # type: ignore[method-assign]
        return found

    def readied(*given: Any) -> Any:
        nonlocal loading
        begun = time.perf_counter()
        decide = ready(*given)
        loading += time.perf_counter() - begun
        return clock.each(decide)

    with patch.object(SHELF, "get", shelf), patch.object(judging, "ready", readied):
        begun = time.perf_counter()
        evaluate.work()
        whole = time.perf_counter() - begun - loading
    with transaction() as session:
        row = session.get_one(Evaluation, row_id)
        assert (row.state, row.done) == ("succeeded", row.total), row.reason
    share = clock.seconds / whole
    note = f"{PROMPTS:,} prompts, two contestants, one judge both ways: {clock.seconds:.1f} of {whole:.1f} s"
    return Figure("share of an evaluation that answers and judges", share, "", "≥ 0.9", share >= PROMISED, note)


def _launch(folder: Path) -> Any:
    toy = Path(alignment.toyworld.__path__[0]) / "base"
    with transaction() as session:
        lead, project = User(name="lead", password_hash="-"), Project(name="Bench")  # noqa: S106
        session.add_all([lead, project])
        session.flush()
        members.join(session, project.id, lead, Role.owner)
        ids = []
        for name in ("base", "other", "judge"):
            shutil.copytree(toy, folder / name)
            row = Checkpoint(project_id=project.id, name=name, source=Source.folder, path=str(folder / name))
            row.architecture, row.parameters, row.max_tokens = "LlamaForCausalLM", 1, 512
            session.add(row)
            session.flush()
            ids.append(str(row.id))
        body = {
            "name": "Share",
            "contestants": ids[:2],
            "prompts": {"texts": [f"Please tell me a short story about number {n}." for n in range(PROMPTS)]},
            "judge": {"name": "llm", "checkpoint": ids[2]},
            "sampling": {"temperature": 1.0, "max_new_tokens": 64},
            "reuse": False,
        }
        return service.launch(session, project, lead, EvaluationIn.model_validate(body)).id
