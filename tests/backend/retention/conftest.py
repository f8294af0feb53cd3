"""A world with what rules of retention remove: runs with checkpoints, answers, exports, all long ago."""

import uuid
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from backend import storage
from backend.accounts.models import Role, User
from backend.checkpoints.models import Checkpoint, Source
from backend.db import transaction
from backend.evaluations.models import Evaluation, Match
from backend.projects import service as projects
from backend.projects.models import Project
from backend.retention.models import RetentionRules
from backend.runs.models import Run, RunEvent
from backend.settings import Settings
from backend.work import State, now
from tests import loop
from tests.backend.checkpoints.conftest import config, weights
from tests.conftest import Client
from workers.tasks import retention

URL = "/api/v1/retention"
NOTHING = {"last_checkpoints": None, "failed_days": None, "answers_days": None, "exports_days": None}
ANSWER = {"content": "A quiet place.", "tokens": 4, "ended": True}
AGO = now() - timedelta(days=40)


def write_weights(folder: Path) -> Path:
    """A checkpoint of headers and a few zeros."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(config())
    (folder / "tokenizer.json").write_text("{}")
    (folder / "chat_template.jinja").write_text("{{ messages }}")
    weights(folder / "model.safetensors")
    return folder


@pytest.fixture
def base(researcher: Client, tmp_path: Path) -> Checkpoint:
    return loop.add_checkpoint(write_weights(tmp_path / "base"))


class World:
    """Ended runs with checkpoints at steps, in the default project."""

    def __init__(self, user: User, base: Checkpoint, settings: Settings) -> None:
        self.user, self.base, self.settings = user, base, settings
        self.dataset = loop.add_dataset()

    def run(
        self, state: State = State.succeeded, accuracies: tuple[float, ...] = (0.5, 0.9, 0.6, 0.7)
    ) -> list[uuid.UUID]:
        """A run that ended 40 days ago; ids of its checkpoints at steps 1, 2, 3 …, each with an accuracy."""
        run = loop.add_run(self.user, self.base, self.dataset)
        made = []
        with transaction() as session:
            values = {"state": state, "finished_at": AGO}
            session.execute(update(Run).where(Run.id == run.id).values(values))
            for step, accuracy in enumerate(accuracies, start=1):
                key = f"runs/{run.id}/checkpoints/{step}"
                write_weights(self.settings.data / key)
                row = Checkpoint(
                    project_id=self.base.project_id,
                    name=f"Step {step}",
                    source=Source.run,
                    path=key,
                    run_id=run.id,
                    parent_id=self.base.id,
                    step=step,
                    architecture="Llama",
                    parameters=10,
                    bytes=100,
                )
                told = {"path": key, "metrics": {"eval/rewards/accuracies": accuracy}}
                session.add_all([row, RunEvent(run_id=run.id, kind="checkpoint", step=step, payload=told)])
                session.flush()
                made.append(row.id)
        return made


@pytest.fixture
def world(researcher: Client, base: Checkpoint, settings: Settings) -> World:
    return World(researcher.user, base, settings)


@pytest.fixture
def owner(make_client: Callable[..., Client]) -> Client:
    return make_client(Role.owner)


def gone(ids: list[uuid.UUID]) -> list[int]:
    """The numbers, from 1, of checkpoints whose weights are gone, in the rows just as in the storage."""
    with transaction() as session:
        rows = [session.get_one(Checkpoint, one) for one in ids]
    assert [row.removed_at is None for row in rows] == [storage.exists(row.path) for row in rows]
    return [number for number, row in enumerate(rows, start=1) if row.removed_at is not None]


def apply(**rules: Any) -> None:
    """Rules of the default project that are due, applied as the worker does."""
    with transaction() as session:
        due = session.scalars(select(RetentionRules)).first() or RetentionRules(project_id=projects.default(session).id)
        for name, value in (NOTHING | rules).items():
            setattr(due, name, value)
        due.set_at, due.due_at = now(), now() - timedelta(seconds=1)
        session.add(due)
    retention.work()


def match(project: Project, a: uuid.UUID, b: uuid.UUID, **values: Any) -> Match:
    """An answered match of 40 days ago."""
    known = {"prompt": [{"role": "user", "content": "Hello"}], "prompt_hash": "0" * 64, "sampling": {}, "seed": 1}
    answered = {"response_a": ANSWER, "response_b": ANSWER, "state": State.succeeded, "finished_at": AGO}
    return Match(project_id=project.id, checkpoint_a=a, checkpoint_b=b, **(known | answered | values))


def evaluation(session: Session, project: Project, state: State) -> Evaluation:
    """One that ended 40 days ago."""
    plain: dict[str, Any] = {"contestants": [], "prompts": {}, "judge": {}, "sampling": {}}
    found = Evaluation(project_id=project.id, name="E", seed=1, state=state, finished_at=AGO, **plain)
    session.add(found)
    session.flush()
    return found
