"""Pages of lists: found by key and never by counting rows, so that the last page costs what the first one does."""

import uuid
from collections.abc import Sequence
from typing import Annotated, Any, Generic, TypeVar, TypeVarTuple

from fastapi import Query
from pydantic import BaseModel
from sqlalchemy import Row, Select
from sqlalchemy.orm import InstrumentedAttribute, Session

from backend.errors import Invalid

MOST = 200
MOST_POSITION = 2**31 - 1
T = TypeVar("T")
Ts = TypeVarTuple("Ts")
Key = InstrumentedAttribute[uuid.UUID] | InstrumentedAttribute[int]

Cursor = Annotated[str | None, Query(max_length=64, description="`next_cursor` of the page before.")]
Limit = Annotated[int, Query(ge=1, le=MOST, description="As many as this on a page, at the most.")]


class BadCursor(Invalid):
    title = "Bad cursor"


class Page(BaseModel, Generic[T]):
    """One page of a list; `next_cursor` is null on the last."""

    items: list[T]
    next_cursor: str | None = None


def page(
    session: Session, query: Select[T], key: Key, cursor: str | None, limit: int, *, oldest_first: bool = False
) -> tuple[Sequence[T], str | None]:
    """At most `limit` entities of `query` after the cursor, newest first, and the cursor of the next page.

    `key` is a unique column of theirs, an id or a position, that orders the list.  Raises BadCursor.
    """
    rows, following = page_of_rows(session, query, key, cursor, limit, oldest_first=oldest_first)
    return [row[0] for row in rows], following


def page_of_rows(
    session: Session,
    query: Select[*Ts],
    key: Key,
    cursor: str | None,
    limit: int,
    *,
    oldest_first: bool = False,
) -> tuple[Sequence[Row[*Ts]], str | None]:
    """The same for a query that gives more than the entity that `key` belongs to, which comes first in each row."""
    if cursor is not None:
        last = _read(key, cursor)
        query = query.where(key > last if oldest_first else key < last)
    ordered = query.order_by(key.asc() if oldest_first else key.desc()).limit(limit + 1)
    rows = session.execute(ordered).all()
    following = None
    if len(rows) > limit:
        last_row: Any = rows[limit - 1]
        following = str(getattr(last_row[0], key.key))
    return rows[:limit], following


def _read(key: Key, cursor: str) -> Any:
    """The value of `key` in a cursor, which is spelled the way lists spell it.  Raises BadCursor."""
    return position(cursor) if key.type.python_type is int else uuid_in(cursor)


def position(cursor: str) -> int:
    """The position in a cursor.  Raises BadCursor."""
    if not (cursor.isascii() and cursor.isdigit() and len(cursor) <= 10 and int(cursor) <= MOST_POSITION):
        raise _bad()
    return int(cursor)


def uuid_in(cursor: str) -> uuid.UUID:
    """The id in a cursor.  Raises BadCursor."""
    try:
        found = uuid.UUID(cursor)
    except ValueError:
        raise _bad() from None
    if str(found) != cursor.lower():  # Python also takes braces, prefixes and the digits of other scripts
        raise _bad()
    return found


def _bad() -> BadCursor:
    return BadCursor("The cursor is not one that a list gave.", field="cursor", remedy="Begin with the first page.")
