"""Everything that is held of a person, as one JSON document for the person."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import orjson
from sqlalchemy import select
from sqlalchemy.orm import Session

from backend.accounts.models import ApiToken, Identity, SignIn, User
from backend.audit.models import AuditEvent
from backend.evaluations.models import Battle, Verdict
from backend.labels.cards import as_shown, turned
from backend.labels.models import Label
from backend.projects.models import Membership, Project

Open = Callable[[], AbstractContextManager[Session]]
CHUNK = 1000


def document(open_session: Open, user: User) -> Iterator[bytes]:
    """The document's bytes, in constant memory. Judgements are as the person saw the responses, so that it does not
    tell which side was which; hashes of tokens and passwords are nobody's to have."""
    account = {"id": user.id, "name": user.name, "admin": user.admin, "created_at": user.created_at}
    yield b'{"account":' + orjson.dumps(account)
    with open_session() as session:
        for name, rows in _parts(session, user).items():
            yield b',\n"' + name.encode() + b'":['
            for number, row in enumerate(rows):
                yield (b",\n" if number else b"\n") + orjson.dumps(row)
            yield b"]"
    yield b"}\n"


def _parts(session: Session, user: User) -> dict[str, Iterable[dict[str, Any]]]:
    return {
        "projects": _rows(session, user, Membership, ("project_id", "role", "created_at")),
        "labels": (_label(row) for row in _all(session, Label, Label.annotator_id == user.id)),
        "verdicts": (_verdict(row) for row in _all(session, Verdict, Verdict.annotator_id == user.id)),
        "arena_prompts": (
            {"id": row.id, "created_at": row.created_at, "prompt": row.message}
            for row in _all(session, Battle, Battle.created_by == user.id)
        ),
        "tokens": _rows(session, user, ApiToken, ("id", "name", "prefix", "created_at", "last_used_at", "revoked_at")),
        "sessions": _rows(session, user, SignIn, ("created_at", "last_seen_at", "expires_at")),
        "identities": _rows(session, user, Identity, ("issuer", "subject", "email", "created_at", "last_used_at")),
        "audit_events": _rows(
            session, user, AuditEvent, ("created_at", "project_id", "action", "noun", "noun_id", "detail", "ip")
        ),
    }


def _all(session: Session, table: type[Any], where: Any) -> Iterator[Any]:
    return iter(session.scalars(select(table).where(where).order_by(table.id).execution_options(yield_per=CHUNK)))


def _rows(session: Session, user: User, table: type[Any], columns: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    for row in _all(session, table, table.user_id == user.id):
        told = {name: getattr(row, name) for name in columns}
        if "project_id" in told and told["project_id"] is not None:
            project = session.get(Project, told["project_id"])
            told["project"] = project.name if project else None
        yield told


def _label(row: Label) -> dict[str, Any]:
    columns = ("id", "project_id", "item_id", "task_id", "created_at", "source", "version", "seconds", "rationale")
    shown = as_shown(row)
    return {name: getattr(row, name) for name in columns} | {"value": shown.value, "aspects": shown.aspects}


def _verdict(row: Verdict) -> dict[str, Any]:
    told = {name: getattr(row, name) for name in ("id", "project_id", "match_id", "created_at", "seconds")}
    return told | {"value": turned(row.value or {}, row.swapped)}
