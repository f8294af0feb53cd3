"""The heartbeat of work that cannot ask by itself for a while, such as a transfer to or from the storage."""

import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import structlog
from sqlalchemy.exc import InterfaceError, OperationalError

from backend.db import transaction
from backend.work import Work, now, ours

BEAT_SECONDS = 5.0
log = structlog.get_logger()


@contextmanager
def beating(table: type[Work], row_id: uuid.UUID) -> Iterator[None]:
    """Keep telling that this worker lives, from a thread, until the block ends."""
    over = threading.Event()

    def keep_on() -> None:
        while not over.wait(BEAT_SECONDS):
            try:
                with transaction() as session:
                    row = session.get_one(table, row_id, with_for_update=True)
                    if ours(row):
                        row.heartbeat_at = now()
            except (OperationalError, InterfaceError):
                # The database is started again by whoever runs it; the next beat tells it.
                log.warning("database away; a heartbeat is missing")

    thread = threading.Thread(target=keep_on, daemon=True, name="heartbeat")
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
