"""Prompt checks: kept, changed, imported, counted, and drawn for an evaluation."""

import json
import uuid
from collections.abc import Sequence
from typing import Any, NoReturn

from pydantic import ValidationError
from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from alignment.formats.canonical import hash_of
from alignment.judges.checks import installed
from alignment.judges.prompt_checks import Expected
from alignment.judges.rules import Rules
from alignment.parts import faults
from backend import paging, storable
from backend.accounts.models import User
from backend.errors import Conflict, Invalid, NotFound
from backend.projects.models import Project
from backend.prompt_checks.models import PromptCheck
from backend.prompt_checks.schemas import (
    BadCheckLine,
    CheckCategoryOut,
    ChecksImportOut,
    PromptCheckIn,
)
from backend.settings import get_settings

MOST_CHECKS = 5_000
MOST_ERRORS = 100


class TooManyChecks(Conflict):
    title = "Too many prompt checks"


class KnownPrompt(Conflict):
    title = "Prompt is there already"


class NotInstalled(Invalid):
    title = "Check not installed"


def page(session: Session, project: Project, category: str | None, cursor: str | None, limit: int) -> Any:
    """Prompt checks, newest first, and the cursor of the next page."""
    query = select(PromptCheck).where(PromptCheck.project_id == project.id)
    if category is not None:
        query = query.where(PromptCheck.category == category)
    return paging.page(session, query, PromptCheck.id, cursor, limit)


def categories(session: Session, project: Project) -> list[CheckCategoryOut]:
    """What there is, by name."""
    rules, refuse = PromptCheck.expects["rules"].astext, PromptCheck.expects["refuse"].astext
    checks = func.jsonb_array_length(PromptCheck.expects["checks"])
    query = (
        select(
            PromptCheck.category,
            func.count(),
            func.count().filter(rules.is_not(None) | (checks > 0)),
            func.count().filter(refuse == "true"),
        )
        .where(PromptCheck.project_id == project.id)
        .group_by(PromptCheck.category)
        .order_by(PromptCheck.category)
    )
    names = ("category", "prompts", "with_rules", "refuse")
    return [CheckCategoryOut(**dict(zip(names, row, strict=True))) for row in session.execute(query)]


def rules_schema() -> dict[str, Any]:
    """The fields of rules, which here are all empty at first."""
    schema = Rules.model_json_schema()
    schema["properties"]["max_words"]["default"] = None
    return schema


def add(session: Session, project: Project, user: User, body: PromptCheckIn) -> PromptCheck:
    """A new one.  Raises KnownPrompt, TooManyChecks, NotInstalled."""
    _require_installed(body.expects)
    _require_room(session, project, 1)
    row = PromptCheck(project_id=project.id, created_by=user.id, **_columns(body))
    _require_new(session, row)
    session.add(row)
    session.flush()
    return row


def change(session: Session, project: Project, check_id: uuid.UUID, body: PromptCheckIn) -> PromptCheck:
    """The check says what `body` says; evaluations that have begun keep what they asked.

    Raises NotFound, KnownPrompt, NotInstalled.
    """
    row = find(session, project, check_id)
    _require_installed(body.expects)
    for name, value in _columns(body).items():
        setattr(row, name, value)
    with session.no_autoflush:
        _require_new(session, row)
    session.flush()
    return row


def remove(session: Session, project: Project, check_id: uuid.UUID) -> None:
    """It is gone; what was measured with it stays.  Raises NotFound."""
    row = find(session, project, check_id)
    session.execute(delete(PromptCheck).where(PromptCheck.id == row.id))


def find(session: Session, project: Project, check_id: uuid.UUID) -> PromptCheck:
    """Raises NotFound."""
    row = session.get(PromptCheck, check_id, with_for_update=True)
    if row is None or row.project_id != project.id:
        raise NotFound.of("prompt check")
    return row


def read_file(session: Session, project: Project, user: User, lines: str) -> ChecksImportOut:
    """Every good line is a check; one of a prompt that its category has already takes its place.

    Raises TooManyChecks.
    """
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    errors: list[BadCheckLine] = []
    for number, line in enumerate(lines.split("\n"), start=1):
        if not line.strip():
            continue
        if len(rows) > MOST_CHECKS or len(errors) > MOST_CHECKS:
            _refuse()
        try:
            columns = _columns(_line(line))
        except (ValidationError, ValueError, RecursionError, Invalid) as error:
            errors.append(BadCheckLine(line=number, reason=_why(error)))
        else:
            rows[columns["category"], columns["prompt_hash"]] = columns
    before = _count(session, project)
    whole = [{"project_id": project.id, "created_by": user.id, **columns} for columns in rows.values()]
    if whole:
        adding = insert(PromptCheck)
        replacing = adding.on_conflict_do_update(
            index_elements=["project_id", "category", "prompt_hash"], set_={"expects": adding.excluded.expects}
        )
        session.execute(replacing, whole)
    _require_room(session, project, 0)  # what was replaced takes no more room
    added = _count(session, project) - before
    return ChecksImportOut(added=added, changed=len(rows) - added, bad=len(errors), errors=errors[:MOST_ERRORS])


def drawn(session: Session, project: Project, wanted: Sequence[str]) -> Sequence[PromptCheck]:
    """The checks of these categories, of all for none, in the order in which they were made."""
    query = select(PromptCheck).where(PromptCheck.project_id == project.id)
    if wanted:
        query = query.where(PromptCheck.category.in_(wanted))
    return session.scalars(query.order_by(PromptCheck.id)).all()


def _line(line: str) -> PromptCheckIn:
    found = json.loads(line)
    storable.require(found)
    body = PromptCheckIn.model_validate(found)
    _require_installed(body.expects)
    return body


def _why(error: Exception) -> str:
    if isinstance(error, ValidationError):
        (place, problem), *_ = faults(error.errors())
        path = ".".join(str(part) for part in place)
        return f"{path}: {problem}." if path else f"{problem}."
    return error.detail if isinstance(error, Invalid) else "This is no JSON object."


def _columns(body: PromptCheckIn) -> dict[str, Any]:
    messages = body.messages()
    return {
        "category": body.category,
        "prompt": messages,
        "prompt_hash": hash_of(messages),
        "expects": body.expects.model_dump(mode="json"),
    }


def _require_installed(expected: Expected) -> None:
    known = installed(get_settings().checks)
    for place, name in enumerate(expected.checks):
        if name not in known:
            raise NotInstalled(
                f"No check “{name}” is installed here.",
                field=f"expects.checks.{place}",
                remedy="Ask whoever runs the program to put it into the folder PLUMBLINE_CHECKS.",
            )


def _require_room(session: Session, project: Project, more: int) -> None:
    if _count(session, project) + more > MOST_CHECKS:
        _refuse()


def _refuse() -> NoReturn:
    raise TooManyChecks(
        f"A project keeps at most {MOST_CHECKS:,} prompt checks.", remedy="Remove some that no longer tell much."
    )


def _require_new(session: Session, row: PromptCheck) -> None:
    same = select(PromptCheck.id).where(
        PromptCheck.project_id == row.project_id,
        PromptCheck.category == row.category,
        PromptCheck.prompt_hash == row.prompt_hash,
    )
    if session.scalar(same if row.id is None else same.where(PromptCheck.id != row.id)) is not None:
        raise KnownPrompt(
            f"“{row.category}” has this prompt already.", field="prompt", remedy="Change the check that there is."
        )


def _count(session: Session, project: Project) -> int:
    return session.scalar(select(func.count()).where(PromptCheck.project_id == project.id)) or 0
