"""A backup while people label and a file is imported: what it holds was true at one moment."""

import json
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
from sqlalchemy import select

from backend.datasets.models import Import
from backend.db import transaction
from backend.settings import Settings
from plumbline.backup import database
from plumbline.backup.make import make
from plumbline.backup.restore import restore
from tests.backups import instance, quiet
from tests.conftest import Client
from workers.tasks import imports


def bring_in(client: Client, name: str, pairs: int) -> str:
    """Upload pairs and ask for their import; the id of the import."""
    lines = [
        {"prompt": f"{name} {number} " + 40 * "word ", "chosen": f"good {number}", "rejected": f"bad {number}"}
        for number in range(pairs)
    ]
    content = "\n".join(json.dumps(line) for line in lines).encode()
    upload = client.post("/api/v1/uploads", params={"filename": f"{name}.jsonl"}, content=content).json()
    body = {"upload_id": upload["id"], "name": name}
    return str(client.post("/api/v1/imports", json=body).raise_for_status().json()["id"])


def label(client: Client, dataset: str) -> str:
    """Judge the next pair; the id of the label."""
    (card,) = client.post(f"/api/v1/datasets/{dataset}/cards", json={"n": 1}).raise_for_status().json()["cards"]
    body = {"client_id": str(uuid.uuid4()), "lease": card["lease"], "value": {"strength": 1}, "seconds": 1.0}
    answer = client.post(f"/api/v1/items/{card['item_id']}/labels", json=body).raise_for_status().json()
    return str(answer["label"]["id"])


@contextmanager
def meanwhile(work: Callable[[], Any]) -> Iterator[threading.Thread]:
    """Do it in another thread; it has ended afterwards, and what it raised is raised here."""
    raised: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001  (raised below)
            raised.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield thread
    finally:
        thread.join()
    for error in raised:
        raise error


def test_labels_and_an_import_at_the_same_time(
    researcher: Client, annotator: Client, settings: Settings, tmp_path: Path, empty_database: str
) -> None:
    """What was answered before the backup began is in it, nothing is in it that did not happen; an import is there
    whole or as one that is to be done, with its file; counts agree with what they count."""
    bring_in(researcher, "first", 400)
    imports.work()
    dataset = researcher.get("/api/v1/datasets").json()["items"][0]["id"]
    second = bring_in(researcher, "second", 4000)
    labelled = [label(annotator, dataset)]
    stop = threading.Event()

    def go_on() -> None:
        while not stop.is_set() and len(labelled) < 350:
            labelled.append(label(annotator, dataset))

    with meanwhile(imports.work) as importing, meanwhile(go_on):
        try:
            while importing.is_alive() and not _reading(second):
                time.sleep(0.01)
            before = list(labelled)
            make(settings, tmp_path / "a.tar", secrets=False, tell=quiet)
        finally:
            stop.set()
    with instance(tmp_path / "there", empty_database) as there:
        restore(tmp_path / "a.tar", there, quiet)
    with database.connect(empty_database) as restored:
        kept = {str(row_id) for (row_id,) in restored.execute("SELECT id FROM labels WHERE source = 'person'")}
        assert set(before) <= kept <= set(labelled)
        _agree(restored, second, tmp_path / "there")


def _reading(import_id: str) -> bool:
    with transaction() as session:
        return session.scalars(select(Import.rows_good).where(Import.id == uuid.UUID(import_id))).one() > 0


def _agree(restored: psycopg.Connection[Any], import_id: str, folder: Path) -> None:
    """The parts of the picture fit each other."""
    state, made, good, upload = restored.execute(
        "SELECT state, dataset_id, rows_good, upload_id FROM imports WHERE id = %s", [import_id]
    ).fetchone() or ("", None, 0, None)
    count = "SELECT count(*) FROM items WHERE dataset_id = %s"
    if state == "succeeded":
        assert restored.execute(count, [made]).fetchone() == (good,)
    else:
        assert made is None
        assert (folder / "uploads" / str(upload)).is_file()
    sums = "SELECT sum(labels) FROM tallies WHERE source = 'person'"
    labels = "SELECT count(*) FROM labels WHERE source = 'person'"
    assert restored.execute(sums).fetchone() == restored.execute(labels).fetchone()
