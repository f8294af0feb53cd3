"""Adding up the time that runs kept devices."""

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, CompoundSelect, DateTime, case, cast, distinct, func, literal, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from backend.accounts.models import User
from backend.projects.models import Project
from backend.runs.models import Run, RunEvent
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

    A run counts from when it was claimed until it ended, or until now; times the devices that its trainer told.  One
    that was continued counts what it took before, too.
    """
    *ids, name = GROUPS[by]
    stretch = _stretches().subquery()
    ended = func.least(stretch.c.ended, until)
    seconds = func.extract("epoch", ended - func.greatest(stretch.c.began, since)) * Run.devices
    group = [*ids, name, func.coalesce(Run.device, UNKNOWN)]
    runs, running = func.count(distinct(Run.id)), func.sum(stretch.c.active)
    query = (
        select(*group, runs, running, func.sum(seconds))
        .join(stretch, stretch.c.run_id == Run.id)
        .outerjoin(Project, Project.id == Run.project_id)
        .outerjoin(User, User.id == Run.created_by)
        .where(stretch.c.began < ended, ended > since)
        .group_by(*group)
    )
    if project_id is not None:
        query = query.where(Run.project_id == project_id)
    used: dict[tuple[Any, ...], UsedOut] = {}
    for *key, device, count, active, spent in session.execute(query):
        found = used.setdefault(tuple(key), _nothing(key))
        _add(found, device, count, active, float(spent))
    return sorted(used.values(), key=lambda one: (-one.accelerator_seconds, -sum(one.devices.values()), one.name))


def _stretches() -> CompoundSelect[Any]:
    """When each run had its devices: `run_id`, `began`, `ended` and whether it is `active`; one row each time."""

    def told(name: str) -> ColumnElement[datetime]:
        return cast(RunEvent.payload[name].astext, DateTime(timezone=True))

    present = select(
        Run.id.label("run_id"),
        Run.started_at.label("began"),
        func.coalesce(Run.finished_at, now()).label("ended"),
        case((Run.state.in_(ACTIVE), 1), else_=0).label("active"),
    )
    before = select(RunEvent.run_id, told("started_at"), told("finished_at"), literal(0)).where(
        RunEvent.kind == "continued"
    )
    return present.union_all(before)


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
