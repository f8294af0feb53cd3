"""Routes of throughput: labels as they come, the forecast, and the pace that a new task can reckon with."""

import uuid
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Query

from backend.datasets import service as datasets
from backend.deps import ProjectDep, Researcher, SessionDep
from backend.labels.caller import CallerDep
from backend.tasks import service as tasks
from backend.throughput import service, standing
from backend.throughput.schemas import By, ForecastOut, LabellerOut, PaceOut, ThroughputOut
from backend.throughput.service import Given

router = APIRouter(tags=["throughput"])
BUCKETS: dict[By, int] = {"hour": 48, "day": 30}


@router.get("/tasks/{task_id}/throughput")
def read_throughput(
    task_id: uuid.UUID,
    _: Researcher,
    caller: CallerDep,
    session: SessionDep,
    by: By = "day",
    last: Annotated[int | None, Query(ge=1, le=366, description="Hours or days; 48 or 30 unless told.")] = None,
) -> ThroughputOut:
    """What a task stands at, its labels by hour or day and person, and when those that are still wanted will be there.

    Hours and days are those of the caller's clock.
    """
    task, now = tasks.find(session, caller, task_id), datetime.now(UTC)
    numbers = service.buckets(by, caller.midnight, now, last or BUCKETS[by])
    starts = [caller.midnight + number * service.WIDTHS[by] for number in numbers]
    people = service.given(session, task, by, caller.midnight, starts[0])
    stands = standing.stands(session, caller, task)
    outlook = service.expected(session, task, now, stands.wanted - stands.labels)
    return ThroughputOut(
        stands=stands,
        by=by,
        starts=starts,
        totals=[sum(one.by_bucket.get(number, 0) for one in people) for number in numbers],
        people=[_person(one, numbers) for one in people],
        forecast=None if outlook is None else ForecastOut(**outlook._asdict()),
    )


@router.get("/datasets/{dataset_id}/pace")
def read_pace(dataset_id: uuid.UUID, _: Researcher, project: ProjectDep, session: SessionDep) -> PaceOut:
    """What labelling a dataset can be expected to take."""
    dataset = datasets.find(session, project, dataset_id)
    items = sum(dataset.splits.values())
    found = service.pace(session, project.id, dataset.id)
    if found.labels:
        return PaceOut(items=items, median_seconds=found.median_seconds, labels=found.labels, of="dataset")
    found = service.pace(session, project.id)
    return PaceOut(
        items=items, median_seconds=found.median_seconds, labels=found.labels, of="project" if found.labels else None
    )


def _person(one: Given, numbers: range) -> LabellerOut:
    labels, worked = sum(one.by_bucket.values()), sum(one.work_seconds)
    return LabellerOut(
        user_id=one.user_id,
        name=one.name,
        labels=labels,
        work_seconds=worked,
        per_hour=labels / worked * 3600 if worked else None,
        buckets=[one.by_bucket.get(number, 0) for number in numbers],
    )
