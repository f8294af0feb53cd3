"""Routes of runs: pre-flight, launch, watching, cancelling."""

import uuid
from collections.abc import Iterator
from functools import cache
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import StringConstraints

from alignment.objectives import CATALOGUE
from alignment.training.kinds import KINDS
from backend.audit import service as audit
from backend.deps import OnceDep, ProjectDep, Researcher, SessionDep
from backend.objectives.cards import card
from backend.paging import Cursor, Limit, Page
from backend.runs import devices, preflight, readings, resuming, service, views
from backend.runs.convert import ConvertIn, ConvertOut, convert
from backend.runs.model_presets import for_models
from backend.runs.models import Run
from backend.runs.presets import PRESETS
from backend.runs.schemas import (
    ContinueIn,
    EventOut,
    EventsOut,
    FormOut,
    KindOut,
    MetricsOut,
    PreflightOut,
    RunDetail,
    RunIn,
    RunOut,
    RunRow,
)
from backend.settings import get_settings
from backend.work import State

router = APIRouter(tags=["runs"])
_schema = cache(RunIn.model_json_schema)  # of every objective: a fraction of a second
Word = Annotated[str, StringConstraints(max_length=200)]


@router.post("/runs/preflight")
def check_run(body: dict[str, Any], _: Researcher, project: ProjectDep, session: SessionDep) -> PreflightOut:
    """What would be wrong with a run, and what it would take. Nothing is stored."""
    return preflight.check(session, project, body)


@router.post("/runs/convert")
def convert_config(body: ConvertIn, _: Researcher, project: ProjectDep, session: SessionDep) -> ConvertOut:
    """A configuration of TRL or LLaMA-Factory as a run: the recipe, what was understood, what was not."""
    return convert(session, project, body)


@router.get("/run-form")
def get_form(_: Researcher) -> FormOut:
    """What the launch form is drawn from: the schema of a run's parts, and presets, some for known models."""
    machine = devices.largest(get_settings().redis_url)
    presets = [*PRESETS, *for_models()]
    gpus = machine.gpus if machine else None
    return FormOut(json_schema=_schema(), kinds=list(_kinds()), presets=presets, gpus=gpus)


def _kinds() -> Iterator[KindOut]:
    for name, kind in KINDS.items():
        losses = [] if kind.losses is CATALOGUE else [card(loss) for loss in kind.losses.values()]
        yield KindOut(name=name, title=kind.title, summary=kind.summary, losses=losses)


@router.post("/runs", status_code=202)
def launch(body: RunIn, user: Researcher, project: ProjectDep, session: SessionDep, once: OnceDep) -> RunOut:
    """Freeze the data and queue a run."""

    def create() -> Run:
        run = service.launch(session, project, user, body, get_settings())
        audit.record(session, user, project.id, "launch", "run", run.id, {"name": run.name, "objective": run.objective})
        return run

    return once(body, RunOut, create)


@router.get("/runs")
def list_runs(
    _: Researcher,
    project: ProjectDep,
    session: SessionDep,
    cursor: Cursor = None,
    limit: Limit = 50,
    state: Annotated[list[State] | None, Query()] = None,
    checkpoint_id: uuid.UUID | None = None,
) -> Page[RunRow]:
    """Runs, newest first."""
    found, following = service.page(session, project, cursor, limit, state, checkpoint_id)
    return Page(items=views.rows(session, found), next_cursor=following)


@router.get("/runs/{run_id}")
def get_run(run_id: uuid.UUID, _: Researcher, project: ProjectDep, session: SessionDep) -> RunDetail:
    """One run."""
    return views.detail(session, service.find(session, project, run_id))


@router.get("/runs/{run_id}/metrics")
def get_metrics(
    run_id: uuid.UUID,
    _: Researcher,
    project: ProjectDep,
    session: SessionDep,
    after: Annotated[int | None, Query(ge=0, le=2**62)] = None,
    names: Annotated[list[Word] | None, Query(max_length=100)] = None,
    points: Annotated[int, Query(ge=10, le=5000)] = 1000,
) -> MetricsOut:
    """Metrics that arrived since the cursor `after`; without it, all of them in at most about `points` a name."""
    run = service.find(session, project, run_id)
    return readings.read(
        session, run.id, run.events_offset, after=after, names=names, points=points, rewound=run.rewound_at
    )


@router.get("/runs/{run_id}/events")
def get_events(
    run_id: uuid.UUID,
    _: Researcher,
    project: ProjectDep,
    session: SessionDep,
    after: uuid.UUID | None = None,
    kind: Annotated[list[Word] | None, Query(max_length=20)] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 500,
) -> EventsOut:
    """Log lines, samples, alarms, checkpoints and the end, after a cursor; without one, the newest."""
    found = service.events(session, service.find(session, project, run_id), after, kind, limit)
    return EventsOut(items=[EventOut.model_validate(event) for event in found], cursor=found[-1].id if found else after)


@router.post("/runs/{run_id}/cancel")
def cancel(run_id: uuid.UUID, user: Researcher, project: ProjectDep, session: SessionDep) -> RunOut:
    """Stop a run; what it has saved is kept."""
    run = service.cancel(session, project, run_id)
    audit.record(session, user, project.id, "cancel", "run", run.id, {"name": run.name})
    return RunOut.model_validate(run)


@router.post("/runs/{run_id}/resume", status_code=202)
def resume(run_id: uuid.UUID, body: ContinueIn, user: Researcher, project: ProjectDep, session: SessionDep) -> RunOut:
    """Let a run that failed, was cancelled or was lost go on after the last step that it saved."""
    run = resuming.resume(session, project, run_id, body)
    audit.record(session, user, project.id, "resume", "run", run.id, {"name": run.name, "step": run.state_step})
    return RunOut.model_validate(run)
