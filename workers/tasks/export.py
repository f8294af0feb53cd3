"""Exports checkpoints: claims an order, lets a process of its own write and compare it, stores what it wrote."""

import shutil
import sys
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import structlog

from backend import storage
from backend import work as queued
from backend.checkpoints import places
from backend.checkpoints.models import Checkpoint
from backend.db import transaction
from backend.errors import AppError
from backend.exports import facts, service
from backend.exports.models import Export, ExportKind
from workers import shutdown
from workers.errand import BROKEN, Ended, Errand, Words
from workers.exporter import Order
from workers.heartbeat import beating

log = structlog.get_logger()

MODULE = "workers.exporter"
ENVIRONMENT = {"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1", "TOKENIZERS_PARALLELISM": "false"}


class Wanted(NamedTuple):
    """A claimed export: its checkpoint and what that adapts, and what its process is told beside places."""

    id: uuid.UUID
    links: Sequence[Checkpoint]
    order: Mapping[str, object]


def work() -> None:
    """Claim and finish queued exports until none is left or the worker is told to stop."""
    with transaction() as session:
        service.clear(session)
    while not shutdown.asked():
        wanted = _claim()
        if wanted is None:
            return
        make(wanted)


def _claim() -> Wanted | None:
    with transaction() as session:
        row = queued.claim(session, Export)
    if row is None:
        return None
    with transaction() as session:
        checkpoint = session.get_one(Checkpoint, row.checkpoint_id)
        links = places.chain(session, checkpoint)
        parent = links[1] if len(links) > 1 else None
        order = {
            "kind": row.kind.value,
            "dtype": row.dtype.value,
            "base": row.base,
            "base_revision": parent.revision if parent and parent.hub_id and row.kind is ExportKind.adapter else None,
            "rank": row.rank,
            "card": facts.card(session, row),
        }
        return Wanted(row.id, links, order)


def make(wanted: Wanted) -> None:
    """Afterwards the claimed export is in the storage, or has ended otherwise and left nothing behind."""
    place = service.making(wanted.id)
    errand = Errand(Export, wanted.id, lambda row, said: _note(row, said, place / "files"))
    try:
        shutil.rmtree(place, ignore_errors=True)
        (place / "files").mkdir(parents=True)
        _conclude(errand, _run(errand, wanted, place), place / "files")
    except OSError:
        log.exception("export not stored", export=str(wanted.id))
        errand.fail("The export could not be stored; nothing was kept.", "Look at the disk of the data folder.")
    except AppError as error:
        errand.fail(f"{error.detail} Nothing was kept.", error.remedy)
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _run(errand: Errand[Export], wanted: Wanted, place: Path) -> Ended:
    printed, written = place / "said", place / "order.json"
    with storage.using() as use:
        with beating(Export, wanted.id):  # weights from a storage far away take their time
            checkpoint = places.place(wanted.links, use)
        order = Order.model_validate({**wanted.order, "checkpoint": checkpoint, "folder": place / "files"})
        written.write_text(order.model_dump_json(), encoding="utf-8")
        return errand.run([sys.executable, "-m", MODULE, str(written)], printed, ENVIRONMENT)


def _note(row: Export, said: Words, folder: Path) -> None:
    row.step = said.get("step")
    row.done = min(_bytes(folder), row.total)


def _conclude(errand: Errand[Export], ended: Ended, folder: Path) -> None:
    if ended.stopped:
        errand.halt("Cancelled. Nothing was kept.")
        return
    if not ended.done:
        errand.fail(ended.said.get("reason", BROKEN), ended.said.get("remedy", service.AGAIN))
        return
    key = service.key(errand.row_id)
    with beating(Export, errand.row_id):
        storage.put(folder, key, move=True)
    if not errand.conclude(lambda _session, row: _record(row, ended.said)):
        storage.delete(key)


def _record(row: Export, said: Words) -> None:
    row.files, row.comparison, row.written_dtype = said["files"], said["comparison"], said["dtype"]
    row.bytes = row.done = row.total = sum(file["size"] for file in row.files)
    row.step = None


def _bytes(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_size if path.is_file() else 0
        except FileNotFoundError:  # renamed as we looked
            continue
    return total
