"""The one rule for text from outside: it must be something that Postgres can store and JSON can say back."""

import re
from collections.abc import Iterator
from typing import Any

from fastapi import Request

from backend.errors import Invalid

_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


class NotStorable(Invalid):
    title = "Text that cannot be stored"


async def storable(request: Request) -> None:
    """Raise NotStorable for a NUL character or half of a surrogate pair in the address or in a JSON body.

    Every route depends on it, so that no schema needs to think of it. A body that the route does not read as JSON
    (an upload) is left alone.
    """
    for key, text in (*request.path_params.items(), *request.query_params.multi_items()):
        _refuse(str(text), key)
    if getattr(request.scope.get("route"), "body_field", None) is not None:
        require(await _read(request))


def require(value: Any) -> None:
    """Raise NotStorable for such text anywhere in a JSON value."""
    for where, text in _texts(value):
        _refuse(text, where)


async def _read(request: Request) -> Any:
    """The body that FastAPI has read already; None when it is no JSON, which the route's schema refuses."""
    try:
        return await request.json()
    except (ValueError, RecursionError):
        return None


def _texts(body: Any) -> Iterator[tuple[str, str]]:
    """Every text in a JSON value, keys too, with the path to it. No recursion: the value may be nested deep."""
    waiting: list[tuple[str, Any]] = [("", body)]
    while waiting:
        where, value = waiting.pop()
        if isinstance(value, str):
            yield where, value
        elif isinstance(value, list):
            waiting += ((f"{where}.{place}".lstrip("."), one) for place, one in enumerate(value))
        elif isinstance(value, dict):
            for key, one in value.items():
                yield where, key  # before its value, whose path the key is part of
                waiting.append((f"{where}.{key}".lstrip("."), one))


def _refuse(text: str, where: str) -> None:
    found = _UNSTORABLE.search(text)
    if found is None:
        return
    nul = found.group() == "\x00"
    wrong = "a NUL character, which cannot be stored" if nul else "half of a surrogate pair, which is no valid Unicode"
    raise NotStorable(f"{where or 'The body'} holds {wrong}.", field=where or None, remedy="Remove that character.")
