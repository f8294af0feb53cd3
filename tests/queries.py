"""How many statements reach the database, and how much they read: a clock tells only on an idle machine."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import event, text
from sqlalchemy.orm import Session

from backend.db import get_engine


@contextmanager
def counted() -> Iterator[list[str]]:
    """A list that grows by every statement of the block."""
    said: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        said.append(statement)

    event.listen(get_engine(), "before_cursor_execute", note)
    try:
        yield said
    finally:
        event.remove(get_engine(), "before_cursor_execute", note)


def rows_read(session: Session, table: str) -> int:
    """Rows of a table that the transaction has read till now, by its indexes or without."""
    columns = "coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0)"
    found = text(f"SELECT {columns} FROM pg_stat_xact_user_tables WHERE relname = :table")  # noqa: S608
    return session.scalar(found, {"table": table}) or 0
