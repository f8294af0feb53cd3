"""Tokens of arena answers on their way from a worker to a browser: one Redis stream a match, gone after an hour."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, Literal, NamedTuple, cast

import redis

from backend.errors import Unavailable
from backend.settings import get_settings

Side = Literal["a", "b"]
SECONDS_KEPT = 3600
MOST_ENTRIES = 20_000
START = "0-0"


class StreamAway(Unavailable):
    title = "Live text is away"


class Piece(NamedTuple):
    """Text that one side's answer grew by."""

    side: Side
    text: str


@lru_cache
def _client(url: str) -> "redis.Redis":
    return redis.Redis.from_url(url, decode_responses=True, socket_timeout=5, socket_connect_timeout=5)


@contextmanager
def _connected() -> Iterator["redis.Redis"]:
    url = get_settings().redis_url
    if url is None:
        raise StreamAway("No Redis is configured.", remedy="Set REDIS_URL, or start the program with `plumbline up`.")
    try:
        yield _client(url)
    except redis.RedisError as error:
        remedy = "The answers are kept when they are finished; try again in a moment."
        raise StreamAway("The live text cannot be read now.", remedy=remedy) from error


def _name(match_id: uuid.UUID) -> str:
    return f"plumbline:arena:{match_id}"


def write(match_id: uuid.UUID, pieces: list[Piece]) -> None:
    """Append text to the match's stream.  Raises StreamAway."""
    with _connected() as client:
        pipe = client.pipeline(transaction=False)
        for piece in pieces:
            pipe.xadd(_name(match_id), {"side": piece.side, "text": piece.text}, maxlen=MOST_ENTRIES)
        pipe.expire(_name(match_id), SECONDS_KEPT)
        pipe.execute()


def read(match_id: uuid.UUID, after: str) -> tuple[list[Piece], str]:
    """What came after the cursor, and the next cursor.  Raises StreamAway."""
    with _connected() as client:
        entries = cast(list[tuple[str, dict[str, Any]]], client.xrange(_name(match_id), min=f"({after}", max="+"))
    pieces = [Piece(fields["side"], fields["text"]) for _, fields in entries]
    return pieces, entries[-1][0] if entries else after


def drop(match_id: uuid.UUID) -> None:
    """Forget the match's stream.  Raises StreamAway."""
    with _connected() as client:
        client.delete(_name(match_id))
