"""Ids that the log lines of one piece of work share: of the request that asked for it, and of its row.

A request's id goes into the row of the work that it queues (`Work.request_id`), not into the doorbell: a ring may be
lost or doubled, and who hears it takes whatever row is next. Whoever claims the row logs under the row's ids from then
on, and a training process gets them in its environment.
"""

import json
import re
import uuid

import structlog
from uuid_utils.compat import uuid7

HEADER = "x-request-id"
VARIABLE = "PLUMBLINE_TRACE"  # read by alignment.training.events
_SANE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def accepted(given: str | None) -> str:
    """The id that a caller gave its request, if it can be one; else a new one."""
    return given if given is not None and _SANE.fullmatch(given) else uuid7().hex


def request_id() -> str | None:
    """The id of the request, or of the one that asked for the work, that is being done here."""
    found = structlog.contextvars.get_contextvars().get("request_id")
    return found if isinstance(found, str) else None


def take_up(noun: str, row_id: uuid.UUID, request: str | None) -> None:
    """Afterwards what is logged here carries the ids of a row, `<noun>_id`, and of the request that asked for it."""
    forget()
    ids = {f"{noun}_id": str(row_id), **({"request_id": request} if request else {})}
    structlog.contextvars.bind_contextvars(**ids)


def forget() -> None:
    """Afterwards what is logged here carries no ids of earlier work."""
    structlog.contextvars.clear_contextvars()


def environment() -> dict[str, str]:
    """The ids, for the environment of a child process."""
    return {VARIABLE: json.dumps(structlog.contextvars.get_contextvars(), default=str)}
