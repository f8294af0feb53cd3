"""Routes of usage: of devices, and of the storage."""

import csv
import io
from datetime import timedelta
from typing import Annotated, Literal

from fastapi import APIRouter, Query
from fastapi.responses import Response
from pydantic import AwareDatetime

from backend.audit.reading import harmless
from backend.datasets import transfers
from backend.deps import Admin, ProjectDep, Researcher, SessionDep
from backend.errors import Invalid, NotAllowed
from backend.settings import get_settings
from backend.usage import service, storage
from backend.usage.schemas import By, ProjectKeepsOut, StorageOut, UsageOut
from backend.work import now

router = APIRouter(tags=["usage"])
DAYS = 30
COLUMNS = ("name", "runs", "running", "accelerator_hours", "cpu_hours", "unknown_hours")


class TimesReversed(Invalid):
    title = "Times reversed"


@router.get("/usage", responses=transfers.a_file("text/csv"), response_model=UsageOut)
def read_usage(
    user: Researcher,
    project: ProjectDep,
    session: SessionDep,
    since: Annotated[AwareDatetime | None, Query(alias="from")] = None,
    until: Annotated[AwareDatetime | None, Query(alias="to")] = None,
    by: By = "person",
    scope: Literal["project", "instance"] = "project",
    format: Literal["json", "csv"] = "json",
) -> UsageOut | Response:
    """How long runs kept devices busy, of the last 30 days unless told otherwise; all projects' for an admin."""
    if scope == "instance" and not user.admin:
        raise NotAllowed("The usage of the whole instance needs an admin.", remedy="Ask for that of your project.")
    until = until or now()
    since = since or until - timedelta(days=DAYS)
    if since >= until:
        raise TimesReversed("“from” must be before “to”.", field="from", remedy="Exchange the two.")
    items = service.add_up(session, project.id if scope == "project" else None, by, since, until)
    found = UsageOut(since=since, until=until, by=by, items=items)
    if format == "json":
        return found
    return Response(_csv(found), media_type="text/csv; charset=utf-8", headers=transfers.attachment("usage.csv"))


@router.get("/storage")
def read_storage(_: Researcher, project: ProjectDep, session: SessionDep) -> ProjectKeepsOut:
    """What the project keeps in the storage, by kind."""
    return storage.of_project(session, project)


@router.get("/storage/projects")
def read_storage_of_all(_: Admin, session: SessionDep) -> StorageOut:
    """What every project keeps in the storage, and the disk of the web server."""
    return StorageOut(items=storage.of_all(session), **storage.this_machine(get_settings())._asdict())


def _csv(usage: UsageOut) -> str:
    written = io.StringIO()
    writer = csv.writer(written, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    for used in usage.items:
        hours = (used.accelerator_seconds, used.cpu_seconds, used.unknown_seconds)
        writer.writerow([harmless(used.name), used.runs, used.running, *(f"{spent / 3600:.6f}" for spent in hours)])
    return written.getvalue()
