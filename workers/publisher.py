"""Checkpoints of a run on their way into the storage, in a thread of their own while training goes on."""

import os
import shutil
import time
import uuid
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import structlog

from backend import storage
from backend.checkpoints import folder as folders
from backend.errors import AppError
from backend.runs.ending import Cause
from backend.runs.models import Run
from backend.runs.sink import EVENTS, Written, read

log = structlog.get_logger()

PAUSES = (2.0, 10.0, 30.0)  # before it is tried again; the storage has tried several times itself by then
UNSENT = "unsent"
NOT_STORED = "It could not be put into the storage."


class Publisher(Written):
    """What `drain` asks about checkpoints. Use as a context manager: leaving it waits for what is on its way.

    A checkpoint is linked aside before it is sent, so that training may remove its own folder meanwhile; what could
    not be sent stays there, under `unsent/<step>` of the run's folder.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.blocked = False  # whether a checkpoint was not ready since the last look
        self.trouble: Cause | None = None
        self._sent: dict[str, Future[bool]] = {}
        self._linked: dict[Path, Path] = {}  # checkpoints that were linked aside and not asked for yet
        self._removed: set[Path] = set()
        self._seen = 0
        self._threads = ThreadPoolExecutor(1, thread_name_prefix="publisher")

    def begin_at(self, offset: int) -> None:
        """Look only at what is told from this byte on: the rest is stored."""
        self._seen = offset

    def ready(self, run: Run, event: dict[str, Any]) -> bool:
        key = self.key(run, event.get("path") or f"checkpoints/{event.get('step')}")
        if key is None:
            return True
        path = self.place(run, key)
        if storage.get_storage().in_place(path, key) or path in self._removed:
            return True
        if key not in self._sent:
            self._sent[key] = self._threads.submit(
                self._send, self._linked.pop(path) if path in self._linked else self._aside(path), key
            )
        future = self._sent[key]
        if not future.done():
            self.blocked = True
            return False
        return True

    def facts(self, run: Run, key: str) -> folders.Facts:
        future = self._sent.get(key)
        if future is None:
            return super().facts(run, key)  # it lies where it was written, or is gone from there
        if not future.result():
            raise folders.Unfit(NOT_STORED, "Look at the run's end.")
        return folders.read_own(storage.local(key))

    @property
    def sent(self) -> bool:
        """Whether anything was sent, and all of it has arrived or is not wanted any more."""
        return bool(self._sent) and all(future.done() for future in self._sent.values())

    def scan(self, run_id: uuid.UUID) -> None:
        """Look ahead of what is stored: link new checkpoints aside, and forget those that training has removed."""
        for line in read(self.folder / EVENTS, self._seen):
            self._seen = line.end
            event = line.event or {}
            if event.get("type") == "checkpoint":
                path = self.folder / "checkpoints" / Path(str(event.get("path"))).name
                key = f"runs/{run_id}/checkpoints/{path.name}"
                known = key in self._sent  # `ready` was first, and it may be on its way
                if storage.fits(key) and not known and not storage.get_storage().in_place(path, key):
                    self._linked[path] = self._aside(path)
            elif event.get("removed_checkpoint"):
                path = self.folder / "checkpoints" / Path(str(event["removed_checkpoint"])).name
                self._removed.add(path)
                aside = self._linked.pop(path, None)
                if aside is not None:
                    shutil.rmtree(aside, ignore_errors=True)

    def look(self) -> bool:
        """Whether a checkpoint has kept the events waiting since the last look."""
        blocked, self.blocked = self.blocked, False
        return blocked

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._threads.shutdown(wait=kind is None, cancel_futures=True)

    def _aside(self, path: Path) -> Path:
        """Where it lies now, out of training's hands; nothing is there if training has removed it."""
        aside = self.folder / UNSENT / path.name
        shutil.rmtree(aside, ignore_errors=True)
        aside.parent.mkdir(exist_ok=True)
        try:
            shutil.copytree(path, aside, copy_function=os.link)
        except OSError:
            shutil.rmtree(aside, ignore_errors=True)
            if path.exists():
                raise
        return aside

    def _send(self, aside: Path, key: str) -> bool:
        """Whether it lies in the storage; False too for one that training had removed by then."""
        if not aside.is_dir():
            return False
        for pause in (*PAUSES, None):
            try:
                storage.put(aside, key, move=True)
            except AppError as error:
                log.warning("checkpoint not stored", key=key, cause=error.detail, again_in=pause)
                if pause is None or isinstance(error, storage.StorageRefused | storage.StorageMissing):
                    self.trouble = self.trouble or lost(aside, error)
                    return False
                time.sleep(pause)
            else:
                return True
        return False


def lost(kept: Path, error: AppError) -> Cause:
    """Why a run ends whose checkpoint cannot be stored."""
    return Cause(
        "storage",
        f"The checkpoint of step {kept.name} could not be stored. {error.detail}",
        f"{error.remedy or ''} It is kept on the machine that trained, in {kept}.".strip(),
    )
