"""A tiny checkpoint made once, a run on it that waits for its worker, and a court of models behind an endpoint."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from backend.accounts.models import Role
from backend.addresses import Allowance
from backend.db import transaction
from backend.runs.models import Run
from backend.settings import Settings
from tests import loop
from tests.court import Court
from tests.endpoint import Habits, serving
from tests.people import add_person
from workers import endpoint
from workers.answering import SHELF


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


@pytest.fixture
def court(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Court]:
    """A server with models that answer and one that judges, which may be asked at once."""
    monkeypatch.setattr(settings, "allowed_addresses", (Allowance.parse("127.0.0.1"),))
    monkeypatch.setattr(endpoint, "PAUSE_SECONDS", 0.001)
    with serving(Habits()) as habits:
        yield Court(habits)
    SHELF.clear()
