"""What a check says: how it stands, one sentence of what is, one of what to do."""

from collections.abc import Callable
from enum import StrEnum
from typing import NamedTuple


class Level(StrEnum):
    """How it stands. A warning may be meant that way; a problem never is."""

    ok = "ok"
    warning = "warning"
    problem = "problem"


class Said(NamedTuple):
    """The outcome of one check."""

    level: Level
    found: str
    remedy: str | None = None


def ok(found: str) -> Said:
    return Said(Level.ok, found)


def warning(found: str, remedy: str) -> Said:
    return Said(Level.warning, found, remedy)


def problem(found: str, remedy: str) -> Said:
    return Said(Level.problem, found, remedy)


# None when it does not apply here.
Check = Callable[..., Said | None]
