"""Routes of prompt checks."""

import uuid
from typing import Annotated

from fastapi import APIRouter, Query

from alignment.judges.checks import installed
from backend.audit import service as audit
from backend.deps import OnceDep, ProjectDep, Researcher, SessionDep
from backend.paging import Cursor, Limit, Page
from backend.prompt_checks import service
from backend.prompt_checks.schemas import (
    CheckCategoriesOut,
    ChecksFileIn,
    ChecksImportOut,
    PromptCheckIn,
    PromptCheckOut,
)
from backend.settings import get_settings

router = APIRouter(tags=["evaluations"])


@router.get("/prompt-checks")
def list_prompt_checks(
    _: Researcher, project: ProjectDep, session: SessionDep, cursor: Cursor = None, limit: Limit = 50,
    category: Annotated[str | None, Query(max_length=80)] = None,
) -> Page[PromptCheckOut]:  # fmt: skip
    """Prompts with what is expected of their answers, newest first."""
    rows, following = service.page(session, project, category, cursor, limit)
    return Page(items=[PromptCheckOut.model_validate(row) for row in rows], next_cursor=following)


@router.get("/prompt-check-categories")
def prompt_check_categories(_: Researcher, project: ProjectDep, session: SessionDep) -> CheckCategoriesOut:
    """How many there are by category, and which installed checks they may use."""
    return CheckCategoriesOut(
        categories=service.categories(session, project),
        installed=installed(get_settings().checks),
        rules_schema=service.rules_schema(),
    )


@router.post("/prompt-checks", status_code=201)
def add_prompt_check(
    body: PromptCheckIn, user: Researcher, project: ProjectDep, session: SessionDep, once: OnceDep
) -> PromptCheckOut:
    """Keep a prompt and what a good answer to it must keep."""
    return once(body, PromptCheckOut, lambda: PromptCheckOut.model_validate(service.add(session, project, user, body)))


@router.post("/prompt-checks/import")
def import_prompt_checks(
    body: ChecksFileIn, user: Researcher, project: ProjectDep, session: SessionDep
) -> ChecksImportOut:
    """Add those of a JSON Lines file; one whose prompt is there already takes its place."""
    told = service.read_file(session, project, user, body.lines)
    audit.record(session, user, project.id, "import", "prompt_checks", project.id, told.model_dump(exclude={"errors"}))
    return told


@router.put("/prompt-checks/{prompt_check_id}")
def change_prompt_check(
    prompt_check_id: uuid.UUID, body: PromptCheckIn, _: Researcher, project: ProjectDep, session: SessionDep
) -> PromptCheckOut:
    """Say it anew."""
    return PromptCheckOut.model_validate(service.change(session, project, prompt_check_id, body))


@router.delete("/prompt-checks/{prompt_check_id}", status_code=204)
def remove_prompt_check(prompt_check_id: uuid.UUID, _: Researcher, project: ProjectDep, session: SessionDep) -> None:
    """Take it out; what was measured with it stays."""
    service.remove(session, project, prompt_check_id)
