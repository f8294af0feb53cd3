"""The shelf of loaded checkpoints, and the watch that keeps a worker's heartbeat."""

import time
import uuid
from pathlib import Path

import pytest

from alignment.sampling import Sampling
from backend.checkpoints.models import Checkpoint
from backend.settings import Settings
from tests import loop
from tests.checkpoints import TEMPLATE, make_llama
from workers import answering
from workers.answering import Refused, Shelf, Watch

pytestmark = pytest.mark.usefixtures("servers")


def checkpoint(folder: Path) -> Checkpoint:
    return Checkpoint(id=uuid.uuid4(), name=folder.name, path=str(folder))


def test_the_last_two_stay_loaded(tmp_path: Path) -> None:
    """Asked again, a checkpoint is not loaded again; a third one takes the place of the one not used longest."""
    rows = [checkpoint(make_llama(tmp_path / str(seed), ["a b c"], seed=seed)) for seed in range(3)]
    shelf, watch = Shelf(), Watch(lambda: True)
    first, second = (shelf.get(row, watch) for row in rows[:2])

    assert shelf.get(rows[0], watch) is first
    shelf.get(rows[2], watch)
    assert shelf.get(rows[0], watch) is first
    assert shelf.get(rows[1], watch) is not second


def test_a_damaged_folder_is_refused(tmp_path: Path) -> None:
    """Weights that cannot be read end in a sentence with the checkpoint's name and what to do."""
    folder = make_llama(tmp_path / "spoiled", ["a b c"])
    (folder / "model.safetensors").write_bytes(b"nothing of use")

    with pytest.raises(Refused) as refused:
        Shelf().get(checkpoint(folder), Watch(lambda: True))

    assert "spoiled" in refused.value.reason
    assert refused.value.remedy


def test_the_watch_asks_once_a_second() -> None:
    """However often the loop looks, the database is asked about once a second; "no" is final."""
    asked: list[float] = []
    watch = Watch(lambda: not asked.append(time.monotonic()))  # type: ignore[func-returns-value]
    for _ in range(1000):
        assert not watch()
    assert len(asked) == 1

    stopping = Watch(lambda: False)
    assert stopping()
    assert stopping()


def test_the_heart_beats_while_something_loads(monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkpoint that takes minutes to load does not look like a dead worker."""
    monkeypatch.setattr(answering, "BEAT_SECONDS", 0.01)
    asked: list[int] = []
    with Watch(lambda: not asked.append(1)).meanwhile():  # type: ignore[func-returns-value]
        deadline = time.monotonic() + 10
        while len(asked) < 3 and time.monotonic() < deadline:
            time.sleep(0.01)

    assert len(asked) >= 3


def test_a_given_template_is_used(tmp_path: Path, clean: None, settings: Settings) -> None:
    """Weights without a chat template answer by the one they were given, and their folder stays as it was."""
    folder = make_llama(tmp_path / "bare", ["a b c"])
    (folder / "chat_template.jinja").unlink()
    before = sorted(path.name for path in folder.iterdir())
    row = loop.add_checkpoint(folder)
    assert not row.own_template
    row.template = TEMPLATE

    answers = Shelf().get(row, Watch(lambda: True)).generate([[{"role": "user", "content": "a"}]], Sampling())

    assert answers[0].tokens > 0
    assert sorted(path.name for path in folder.iterdir()) == before
