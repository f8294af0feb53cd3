"""How a piece of work ends at its worker: with what it found, with a reason, or handed on to the next worker."""

import uuid
from collections.abc import Callable
from typing import TypeVar

from backend.db import transaction
from backend.work import State, Tried, Work, finish, ours

W = TypeVar("W", bound=Work)


class Halt(Exception):
    """Somebody asked for the end, or the worker must stop."""


def end(
    table: type[W],
    row_id: uuid.UUID,
    state: State | None,
    reason: str | None = None,
    remedy: str | None = None,
    *,
    cancelled: str = "Cancelled.",
    keep: Callable[[W], None] | None = None,
) -> None:
    """The row has ended, with what `keep` stores in it; one that is gone, or another worker's by now, stays as it is.

    Without a state it is cancelled if somebody asked for that; else the next worker takes it, and this was no attempt.
    `keep` is asked in each case.
    """
    with transaction() as session:
        row = session.get(table, row_id, with_for_update=True)
        if row is None or not ours(row):
            return
        if keep is not None:
            keep(row)
        if state is not None:
            finish(row, state, reason, remedy)
        elif row.stop_requested:
            finish(row, State.cancelled, cancelled)
        else:
            row.state = State.queued
            if isinstance(row, Tried):
                row.attempts -= 1
