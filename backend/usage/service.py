"""Adding up the time that runs kept devices."""

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, case, func, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from backend.accounts.models import User
from backend.projects.models import Project
from backend.runs.models import Run
from backend.usage.schemas import By, UsedOut
from backend.work import ACTIVE, now

UNKNOWN, CPU = "unknown", "cpu"
GROUPS: dict[By, tuple[ColumnElement[Any] | InstrumentedAttribute[Any], ...]] = {
    "project": (Run.project_id, Project.name),
    "person": (Run.created_by, User.name),
    "objective": (Run.objective,),
}


def add_up(session: Session, project_id: uuid.UUID | None, by: By, since: datetime, until: datetime) -> list[UsedOut]:
    """Device-seconds of a project (None: of all) that lie between two times, by group, the most first.

    A run counts from when it was claimed until it ended, or until now; times the devices that its trainer told.
    """
    *ids, name = GROUPS[by]
    ended = func.least(func.coalesce(Run.finished_at, now()), until)
    seconds = func.extract("epoch", ended - func.greatest(Run.started_at, since)) * Run.devices
    group = [*ids, name, func.coalesce(Run.device, UNKNOWN)]
    query = (
        select(*group, func.count(), func.sum(case((Run.state.in_(ACTIVE), 1), else_=0)), func.sum(seconds))
        .outerjoin(Project, Project.id == Run.project_id)
        .outerjoin(User, User.id == Run.created_by)
        .where(Run.started_at < ended, ended > since)
        .group_by(*group)
    )
    if project_id is not None:
        query = query.where(Run.project_id == project_id)
    used: dict[tuple[Any, ...], UsedOut] = {}
    for *key, device, runs, running, spent in session.execute(query):
        found = used.setdefault(tuple(key), _nothing(key))
        _add(found, device, runs, running, float(spent))
    return sorted(used.values(), key=lambda one: (-one.accelerator_seconds, -sum(one.devices.values()), one.name))


def _nothing(key: list[Any]) -> UsedOut:
    return UsedOut(
        id=key[0] if len(key) == 2 else None,
        name=key[-1] or "somebody",
        runs=0,
        running=0,
        accelerator_seconds=0,
        cpu_seconds=0,
        unknown_seconds=0,
        devices={},
    )


def _add(used: UsedOut, device: str, runs: int, running: int, seconds: float) -> None:
    used.runs += runs
    used.running += running
    used.devices[device] = seconds
    if device == UNKNOWN:
        used.unknown_seconds += seconds
    elif device == CPU:
        used.cpu_seconds += seconds
    else:
        used.accelerator_seconds += seconds
