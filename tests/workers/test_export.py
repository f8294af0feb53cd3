"""Exports made by a real worker's process: from asking to files that load, and every way it can end otherwise."""

import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from backend.db import transaction
from backend.exports import service
from backend.exports.models import Export
from backend.settings import Settings
from backend.work import State
from tests import exporting
from tests.conftest import Client
from tests.exporting import Trained
from workers import shutdown
from workers.tasks import export

pytestmark = pytest.mark.usefixtures("warm")

Ask = Callable[..., str]


@pytest.fixture(scope="session")
def adapter(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return exporting.adapter_folder(tiny, tmp_path_factory.mktemp("adapter"))


@pytest.fixture
def trained(clean: None, tiny: Path, adapter: Path) -> Trained:
    return exporting.add_trained(tiny, adapter, dataset="Harbor | <b>pairs</b>")


@pytest.fixture
def ask(researcher: Client, trained: Trained) -> Ask:
    """Queues an export of the adapter and gives its id."""

    def run(**body: str) -> str:
        answer = researcher.post("/api/v1/exports", json={"checkpoint_id": str(trained.adapter.id)} | body)
        assert answer.status_code == 202, answer.text
        return str(answer.json()["id"])

    return run


def found(export_id: str) -> Export:
    with transaction() as session:
        return session.get_one(Export, uuid.UUID(export_id))


def left(settings: Settings) -> list[str]:
    """What lies where exports lie."""
    return sorted(path.name for path in (settings.data / "exports").iterdir())


@pytest.fixture(autouse=True)
def emptied(settings: Settings) -> Iterator[None]:
    """No export of another test lies there, and none is left to others."""
    folder = settings.data / "exports"
    subprocess.run(["find", folder, "-mindepth", "1", "-delete"], check=folder.exists())
    yield
    subprocess.run(["find", folder, "-mindepth", "1", "-delete"], check=folder.exists())


def test_from_asking_to_files(ask: Ask, researcher: Client, trained: Trained, settings: Settings) -> None:
    """The merged weights load, the card tells what the rows know, the row tells files, dtype and comparison."""
    exporting.add_verdicts(trained, wins=9, losses=3)
    asked = ask(dtype="bf16")

    export.work()

    told = researcher.get(f"/api/v1/exports/{asked}").json()
    assert (told["state"], told["reason"], told["step"]) == ("succeeded", None, None)
    assert (told["written_dtype"], told["available"]) == ("bfloat16", True)
    assert told["done"] == told["total"] == told["bytes"] == sum(file["size"] for file in told["files"])
    assert 0 < told["comparison"]["difference"] < told["comparison"]["tolerance"]
    assert left(settings) == [asked]
    folder = settings.data / "exports" / asked
    assert not (folder / "adapter_config.json").exists()
    from transformers import AutoModelForCausalLM

    assert str(AutoModelForCausalLM.from_pretrained(folder, dtype="auto").dtype) == "torch.bfloat16"
    _check_card((folder / "README.md").read_text())
    assert researcher.get(f"/api/v1/exports/{asked}/archive").status_code == 200


def _check_card(card: str) -> None:
    front = yaml.safe_load(card.split("---\n")[1])
    assert (front["base_model"], front["license"]) == ("someone/tiny", "mit")
    assert r"Harbor \| \<b\>pairs\<\/b\>" in card
    assert "| 75.0 % |" in card
    assert "| 12 |" in card
    assert "**DPO**" in card
    assert "60 from import" in card


def test_an_adapter_names_its_base(ask: Ask) -> None:
    """The process is told the base's name and commit on the hub, and no folder of this machine as its name."""
    ask(kind="adapter")

    wanted = export._claim()

    assert wanted is not None
    assert (wanted.order["base"], wanted.order["base_revision"]) == ("someone/tiny", "c" * 40)
    assert (wanted.order["kind"], wanted.order["rank"]) == ("adapter", 4)


def test_cancelled(ask: Ask, researcher: Client, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cancelled while its process works, an export ends soon and leaves nothing."""
    asked = ask()
    pulse = export._note

    def cancel(row: Any, said: Any, folder: Path) -> None:
        pulse(row, said, folder)
        row.stop_requested = True

    monkeypatch.setattr(export, "_note", cancel)
    export.work()

    assert (found(asked).state, found(asked).reason) == (State.cancelled, "Cancelled. Nothing was kept.")
    assert left(settings) == []


def test_a_worker_that_is_told_to_stop_hands_over(
    ask: Ask, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An export that nobody cancelled goes back into the queue."""
    asked = ask()
    told = iter([False])
    monkeypatch.setattr(shutdown, "asked", lambda: next(told, True))

    export.work()

    assert (found(asked).state, left(settings)) == (State.queued, [])


@pytest.fixture
def full_disk(settings: Settings) -> Iterator[None]:
    """The folder of exports is a file system of 20 MB: enough for the check, not for what somebody else writes."""
    place = settings.data / "exports"
    place.mkdir(exist_ok=True)
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=20m", "tmpfs", place], capture_output=True)
    if mounted.returncode:
        pytest.skip("Only root may mount; tests of the writing itself cover a disk that is full.")
    yield
    subprocess.run(["umount", place], check=True)


def test_disk_full(full_disk: None, ask: Ask, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that fills up while the process writes: it is said so, and nothing half-written is left."""
    asked = ask()
    filled: list[int] = []

    def fill(row: Any, said: Any, folder: Path) -> None:
        if said.get("step") and not filled:  # its look at the free space is over
            with (settings.data / "exports" / "theirs").open("wb") as file:
                room = os.statvfs(file.name)
                filled.append(room.f_bavail * room.f_frsize - 40_000)
                os.posix_fallocate(file.fileno(), 0, filled[0])
            (folder.parent / "go").touch()

    monkeypatch.setattr(export, "_note", fill)
    monkeypatch.setattr(export, "MODULE", "tests.workers.patient_exporter")  # the same, but lets the disk fill up first
    export.work()

    ended = found(asked)
    assert ended.state == State.failed
    assert "disk is full" in (ended.reason or "")
    assert left(settings) == ["theirs"]


def test_killed_worker(ask: Ask, settings: Settings) -> None:
    """kill -9 of the worker ends its process too; the sweep says so and removes what was written."""
    asked = ask()
    worker = subprocess.Popen([sys.executable, "-c", "from workers.tasks import export; export.work()"])
    making = service.making(uuid.UUID(asked))
    _until(lambda: (making / "said").exists())
    children = psutil.Process(worker.pid).children()
    worker.send_signal(signal.SIGKILL)
    worker.wait()
    _until(lambda: not any(child.is_running() and child.status() != "zombie" for child in children))

    with transaction() as session:
        assert service.sweep(session) == 1

    ended = found(asked)
    assert (ended.state, ended.remedy) == (State.failed, service.AGAIN)
    assert left(settings) == []


def _until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)
