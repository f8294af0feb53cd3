"""What the methods about every noun share: the line, and waiting for work that the server does."""

import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeVar

from plumbline.client.errors import NotSucceeded, TookTooLong
from plumbline.client.line import Line

ENDED = frozenset({"succeeded", "failed", "cancelled", "lost"})
Spec = Mapping[str, Any]  # part of a request as the API's reference describes it


class Work(Protocol):
    """A row of work that a worker does."""

    @property
    def state(self) -> str: ...
    @property
    def reason(self) -> str | None: ...
    @property
    def remedy(self) -> str | None: ...


W = TypeVar("W", bound=Work)


class Noun:
    """Methods about one noun of a server."""

    def __init__(self, line: Line) -> None:
        self._line = line

    def _until_ended(self, read: Callable[[], W], tell: Callable[[W], None] | None, seconds: float | None) -> W:
        """The row once it has succeeded; `tell` hears how it stands at every look.

        Raises NotSucceeded, TookTooLong.
        """
        limit = None if seconds is None else time.monotonic() + seconds
        while True:
            row = read()
            if tell is not None:
                tell(row)
            if row.state == "succeeded":
                return row
            if row.state in ENDED:
                raise NotSucceeded(row)
            if limit is not None and seconds is not None and time.monotonic() >= limit:
                raise TookTooLong(row, seconds)
            time.sleep(self._line.poll_seconds)
