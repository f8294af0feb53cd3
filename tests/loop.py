"""The parts of a small real loop for tests: a tiny checkpoint, a dataset of labelled pairs, a run on both."""

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from alignment.formats.canonical import CHOSEN_FIRST, Item
from backend.accounts.models import User
from backend.checkpoints.models import Checkpoint, Source
from backend.datasets import service as datasets
from backend.datasets.models import Dataset
from backend.db import transaction
from backend.projects import service as projects
from backend.projects.models import Project
from backend.runs import service as runs
from backend.runs.models import Run
from backend.runs.schemas import RunIn
from backend.settings import get_settings

PLACES = ("a harbor", "a mill", "a garden", "a tower", "a bridge", "a market", "an orchard", "a library")
NUMBER = itertools.count()


def pairs(count: int) -> list[Item]:
    """Labelled pairs over different prompts: the friendly answer is chosen."""
    return [
        Item(
            prompt=[{"role": "user", "content": f"Tell me about {PLACES[n % len(PLACES)]}, number {n}."}],
            responses=[
                {"role": "assistant", "content": f"Gladly! It is a quiet place, number {n}."},
                {"role": "assistant", "content": f"No. Look it up yourself, number {n}."},
            ],
            labels=[CHOSEN_FIRST],
        )
        for n in range(count)
    ]


def texts(items: Sequence[Item]) -> list[str]:
    """What a tokenizer learns from."""
    return [message["content"] for item in items for message in (*item.prompt, *item.responses)]


def tiny_checkpoint(folder: Path, **size: Any) -> Path:
    """A random Llama folder that answers in milliseconds; imports torch."""
    from tests.checkpoints import make_llama

    return make_llama(folder, texts(pairs(40)), **size)


def add_dataset(count: int = 60, name: str | None = None) -> Dataset:
    """A dataset of labelled pairs in the default project."""
    with transaction() as session:
        project = projects.default(session)
        return datasets.create_from_items(session, project, name or f"Pairs {next(NUMBER)}", pairs(count))


def add_checkpoint(folder: Path, name: str = "Tiny") -> Checkpoint:
    """A checkpoint row for a folder, wherever it lies."""
    from backend.checkpoints.folder import read_own

    with transaction() as session:
        facts = read_own(folder)
        row = Checkpoint(
            project_id=projects.default(session).id,
            name=name,
            source=Source.folder,
            path=str(folder),
            adapter=facts.adapter,
            architecture=facts.architecture,
            parameters=facts.parameters,
            max_tokens=facts.max_tokens,
            own_template=facts.template,
        )
        session.add(row)
        session.flush()
        return row


def run_body(checkpoint: Checkpoint, dataset: Dataset, **changes: Any) -> dict[str, Any]:
    """A small valid RunIn as JSON."""
    return {
        "name": "Small run",
        "checkpoint_id": str(checkpoint.id),
        "dataset_id": str(dataset.id),
        "objective": {"name": "dpo", "beta": 0.1},
        "optimizer": {"learning_rate": 1e-3},
        "batch": {"examples_per_step": 4},
        "length": {"max_prompt_tokens": 64, "max_response_tokens": 64},
        "duration": {"steps": 4},
        "precision": "fp32",
        "evaluate": {"every_steps": 2, "samples": 1},
    } | changes


def add_run(user: User, checkpoint: Checkpoint, dataset: Dataset, **changes: Any) -> Run:
    """A queued run."""
    with transaction() as session:
        project: Project = projects.default(session)
        body = RunIn.model_validate(run_body(checkpoint, dataset, **changes))
        return runs.launch(session, project, user, body, get_settings())
