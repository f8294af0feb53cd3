"""Reading the audit log: by page, and whole as a file."""

import csv
import io
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import orjson
from sqlalchemy import Row, Select, select
from sqlalchemy.orm import Session

from backend import paging
from backend.accounts.models import User
from backend.audit.models import AuditEvent
from backend.audit.schemas import ActionsOut, AuditOut
from backend.projects.models import Project

FileFormat = Literal["csv", "jsonl"]
Open = Callable[[], AbstractContextManager[Session]]
MEDIA_TYPE: dict[FileFormat, str] = {"csv": "text/csv; charset=utf-8", "jsonl": "application/x-ndjson"}
CHUNK = 1000
LOOKED_AT = 10_000
COLUMNS = ("created_at", "user", "action", "noun", "noun_id", "project", "ip", "detail")
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


@dataclass(frozen=True)
class Filter:
    """Which events: a project's, or with `project_id` None those of the whole instance; the others narrow it down."""

    project_id: uuid.UUID | None
    action: str | None = None
    noun: str | None = None
    user_id: uuid.UUID | None = None
    since: datetime | None = None
    until: datetime | None = None

    def query(self) -> Select[AuditEvent, str, str]:
        found = (
            select(AuditEvent, User.name, Project.name)
            .outerjoin(User, User.id == AuditEvent.user_id)
            .outerjoin(Project, Project.id == AuditEvent.project_id)
        )
        for column, value in (
            (AuditEvent.project_id, self.project_id),
            (AuditEvent.action, self.action),
            (AuditEvent.noun, self.noun),
            (AuditEvent.user_id, self.user_id),
        ):
            if value is not None:
                found = found.where(column == value)
        if self.since is not None:
            found = found.where(AuditEvent.created_at >= self.since)
        return found if self.until is None else found.where(AuditEvent.created_at < self.until)


def page(session: Session, chosen: Filter, cursor: str | None, limit: int) -> tuple[list[AuditOut], str | None]:
    """Events, newest first, and the cursor of the next page."""
    rows, following = paging.page_of_rows(session, chosen.query(), AuditEvent.id, cursor, limit)
    return [_out(row) for row in rows], following


def actions(session: Session, project_id: uuid.UUID | None) -> ActionsOut:
    """The actions and nouns that occur among the newest events, of which `LOOKED_AT` are looked at."""
    newest = select(AuditEvent.action, AuditEvent.noun).order_by(AuditEvent.id.desc()).limit(LOOKED_AT)
    if project_id is not None:
        newest = newest.where(AuditEvent.project_id == project_id)
    kinds = session.execute(select(newest.subquery()).distinct()).all()
    return ActionsOut(actions=sorted({kind.action for kind in kinds}), nouns=sorted({kind.noun for kind in kinds}))


def stream(open_session: Open, chosen: Filter, format: FileFormat) -> Iterator[bytes]:
    """The events as a file, newest first, in short transactions."""
    if format == "csv":
        yield _csv([COLUMNS])
    cursor: str | None = None
    while True:
        with open_session() as session:
            found, cursor = page(session, chosen, cursor, CHUNK)
        if format == "csv":
            yield _csv([tuple(_cell(event, column) for column in COLUMNS) for event in found])
        else:
            yield b"".join(
                orjson.dumps(event.model_dump(mode="json"), option=orjson.OPT_APPEND_NEWLINE) for event in found
            )
        if cursor is None:
            return


def _out(row: Row[AuditEvent, str, str]) -> AuditOut:
    event, user, project = row
    return AuditOut.model_validate(event).model_copy(update={"user": user, "project": project})


def _cell(event: AuditOut, column: str) -> str:
    value = event.model_dump(mode="json")[column]
    text = orjson.dumps(value).decode() if isinstance(value, dict) else "" if value is None else str(value)
    return harmless(text)


def harmless(text: str) -> str:
    """A cell that no spreadsheet runs: what begins like a formula gets an apostrophe."""
    return f"'{text}" if text.startswith(FORMULA) else text


def _csv(rows: list[tuple[str, ...]]) -> bytes:
    written = io.StringIO()
    csv.writer(written, lineterminator="\r\n").writerows(rows)
    return written.getvalue().encode()
