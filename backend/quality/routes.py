"""Routes of quality: agreement, annotators, reliabilities, labels one by one.

Each is there for the labels of a task, and for those of a whole dataset, where files name their annotators.
"""

import uuid
from typing import Annotated

from fastapi import APIRouter, Query

from backend import paging
from backend.deps import OnceDep, ProjectDep, Researcher, SessionDep
from backend.labels.caller import CallerDep
from backend.paging import Cursor, Limit, Page
from backend.quality import agreement, annotators, labels, reading, reliabilities, settling_routes
from backend.quality.schemas import (
    AnnotatorsOut,
    LabelAgreementOut,
    QualityLabelOut,
    ReliabilityJobOut,
)
from backend.quality.scopes import DatasetScope, TaskScope
from backend.tasks import service as tasks

router = APIRouter(tags=["quality of labels"])
router.include_router(settling_routes.router)
Level = Annotated[float, Query(ge=0.5, le=0.999, allow_inf_nan=False, description="Of the intervals.")]
Seed = Annotated[int, Query(ge=0, le=2**31 - 1, description="Of the items that are drawn for the intervals.")]
Unaided = Annotated[bool, Query(description="Without judgements made beside a suggestion.")]
Name = Annotated[str | None, Query(max_length=500, description="Of an annotator in an imported file.")]


@router.get("/tasks/{task_id}/agreement")
def task_agreement(
    _: Researcher, scope: TaskScope, session: SessionDep, level: Level = 0.95, seed: Seed = 0, unaided: Unaided = False
) -> LabelAgreementOut:
    """How far people agree in a task: every coefficient with its interval, and every two of those who judged most."""
    return agreement.agreement(session, scope, level=level, seed=seed, unaided=unaided)


@router.get("/datasets/{dataset_id}/agreement")
def dataset_agreement(
    _: Researcher,
    scope: DatasetScope,
    session: SessionDep,
    level: Level = 0.95,
    seed: Seed = 0,
    unaided: Unaided = False,
) -> LabelAgreementOut:
    """The same of all labels of a dataset, by people here and by annotators that files name."""
    return agreement.agreement(session, scope, level=level, seed=seed, unaided=unaided)


@router.get("/tasks/{task_id}/annotators")
def task_annotators(
    task_id: uuid.UUID,
    caller: CallerDep,
    session: SessionDep,
    level: Level = 0.95,
    cursor: Cursor = None,
    limit: Limit = 100,
) -> AnnotatorsOut:
    """What the labels of each annotator say about them; annotators see themselves alone, in tasks that they may label
    in, and nothing that tells which items are gold or what others said."""
    task = tasks.find(session, caller, task_id)
    rows = annotators.annotators(session, reading.of_task(session, caller.project_id, task.id), level=level)
    if not caller.researches:
        rows = [annotators.as_told(row) for row in rows if row.annotator_id == caller.user.id]
    return annotators.page(rows, paging.position(cursor) if cursor is not None else 0, limit)


@router.get("/datasets/{dataset_id}/annotators")
def dataset_annotators(
    _: Researcher,
    scope: DatasetScope,
    session: SessionDep,
    level: Level = 0.95,
    cursor: Cursor = None,
    limit: Limit = 100,
) -> AnnotatorsOut:
    """The same of all labels of a dataset."""
    rows = annotators.annotators(session, scope, level=level)
    return annotators.page(rows, paging.position(cursor) if cursor is not None else 0, limit)


@router.get("/tasks/{task_id}/labels")
def task_labels(
    _: Researcher,
    scope: TaskScope,
    session: SessionDep,
    cursor: Cursor = None,
    limit: Limit = 100,
    annotator_id: uuid.UUID | None = None,
    item_id: uuid.UUID | None = None,
) -> Page[QualityLabelOut]:
    """Every label of a task, every version, newest first, with how it came about."""
    rows, following = labels.page(session, scope, cursor, limit, annotator_id=annotator_id, item_id=item_id)
    return Page(items=rows, next_cursor=following)


@router.get("/datasets/{dataset_id}/named-labels")
def dataset_named_labels(
    _: Researcher,
    scope: DatasetScope,
    session: SessionDep,
    cursor: Cursor = None,
    limit: Limit = 100,
    annotator_id: uuid.UUID | None = None,
    name: Name = None,
    item_id: uuid.UUID | None = None,
) -> Page[QualityLabelOut]:
    """Every label of a dataset whose annotator is known, every version, newest first."""
    rows, following = labels.page(session, scope, cursor, limit, annotator_id=annotator_id, name=name, item_id=item_id)
    return Page(items=rows, next_cursor=following)


@router.post("/tasks/{task_id}/reliabilities", status_code=202)
def estimate_in_task(
    user: Researcher, project: ProjectDep, scope: TaskScope, session: SessionDep, once: OnceDep
) -> ReliabilityJobOut:
    """Estimate how far each annotator can be trusted, by Dawid-Skene and Crowd-BT."""
    return once(None, ReliabilityJobOut, lambda: reliabilities.request(session, project, user, scope))


@router.post("/datasets/{dataset_id}/reliabilities", status_code=202)
def estimate_in_dataset(
    user: Researcher, project: ProjectDep, scope: DatasetScope, session: SessionDep, once: OnceDep
) -> ReliabilityJobOut:
    """The same of all labels of a dataset."""
    return once(None, ReliabilityJobOut, lambda: reliabilities.request(session, project, user, scope))


@router.get("/tasks/{task_id}/reliabilities")
def list_in_task(
    _: Researcher, scope: TaskScope, session: SessionDep, cursor: Cursor = None, limit: Limit = 20
) -> Page[ReliabilityJobOut]:
    """Estimates of a task, newest first."""
    rows, following = reliabilities.page(session, scope, cursor, limit)
    return Page(items=[ReliabilityJobOut.model_validate(row) for row in rows], next_cursor=following)


@router.get("/datasets/{dataset_id}/reliabilities")
def list_in_dataset(
    _: Researcher, scope: DatasetScope, session: SessionDep, cursor: Cursor = None, limit: Limit = 20
) -> Page[ReliabilityJobOut]:
    """Estimates of a dataset, newest first."""
    rows, following = reliabilities.page(session, scope, cursor, limit)
    return Page(items=[ReliabilityJobOut.model_validate(row) for row in rows], next_cursor=following)


@router.get("/reliabilities/{reliability_id}")
def get_reliabilities(
    reliability_id: uuid.UUID, _: Researcher, project: ProjectDep, session: SessionDep
) -> ReliabilityJobOut:
    """One estimate, with what it found."""
    return ReliabilityJobOut.model_validate(reliabilities.find(session, project, reliability_id))


@router.post("/reliabilities/{reliability_id}/cancel")
def cancel_reliabilities(
    reliability_id: uuid.UUID, _: Researcher, project: ProjectDep, session: SessionDep
) -> ReliabilityJobOut:
    """Stop an estimate."""
    return ReliabilityJobOut.model_validate(reliabilities.cancel(session, project, reliability_id))
