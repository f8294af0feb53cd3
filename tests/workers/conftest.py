"""A tiny checkpoint made once, and a run on it that waits for its worker."""

from collections.abc import Callable
from pathlib import Path

import pytest

from backend.accounts.models import Role
from backend.db import transaction
from backend.runs.models import Run
from backend.settings import Settings
from tests import loop
from tests.people import add_person


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random Llama folder."""
    return loop.tiny_checkpoint(tmp_path_factory.mktemp("checkpoints") / "tiny")


@pytest.fixture
def queue_run(clean: None, settings: Settings, tiny: Path) -> Callable[..., Run]:
    """Queues small runs on real parts; keyword arguments change the spec."""
    with transaction() as session:
        user = add_person(session, Role.researcher, "ada")
    checkpoint = loop.add_checkpoint(tiny)
    dataset = loop.add_dataset()

    def queue(**changes: object) -> Run:
        return loop.add_run(user, checkpoint, dataset, **changes)

    return queue
