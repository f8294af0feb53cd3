"""How many statements reach the database."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import event

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
