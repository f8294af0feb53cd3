"""Routes of tasks: making, finding and changing them, their next cards, and known answers."""

import uuid

from fastapi import APIRouter, Response

from backend.audit import service as audit
from backend.deps import OnceDep, ProjectDep, Researcher, SessionDep, answered
from backend.labels import leases, submitting
from backend.labels.caller import CallerDep
from backend.labels.schemas import CardsIn, CardsOut, WithdrawnCard
from backend.paging import Cursor, Limit, Page
from backend.render import render
from backend.tasks import golds, service, views
from backend.tasks.models import Task
from backend.tasks.schemas import GoldIn, GoldOut, GuidelinesIn, GuidelinesOut, TaskDetail, TaskIn, TaskOut, TaskPatch

router = APIRouter(tags=["tasks"])


@router.post("/tasks", status_code=201)
def create(
    body: TaskIn, user: Researcher, project: ProjectDep, caller: CallerDep, session: SessionDep, once: OnceDep
) -> TaskDetail:
    """Ask a question about the items of a dataset."""

    def make() -> TaskDetail | TaskOut:
        task = service.create(session, project, user, body)
        audit.record(session, user, project.id, "create", "task", task.id, {"name": task.name})
        return _one(session, caller, task)

    return once(body, TaskDetail, make)


@router.post("/guidelines/preview")
def preview_guidelines(body: GuidelinesIn, _: Researcher) -> GuidelinesOut:
    """Guidelines as annotators would see them; nothing is kept."""
    return GuidelinesOut(html=render(body.guidelines))


@router.get("/tasks")
def list_tasks(
    caller: CallerDep,
    session: SessionDep,
    cursor: Cursor = None,
    limit: Limit = 50,
    dataset_id: uuid.UUID | None = None,
    state: service.State | None = None,
) -> Page[TaskDetail] | Page[TaskOut]:
    """Tasks with how far they are, newest first; annotators see open ones that they may label in."""
    rows, following = service.page(session, caller, cursor, limit, dataset_id, state)
    found = views.drawn(session, caller, rows)
    if caller.researches:
        return Page[TaskDetail](items=[one for one in found if isinstance(one, TaskDetail)], next_cursor=following)
    return Page[TaskOut](items=found, next_cursor=following)


@router.get("/tasks/{task_id}")
def get_task(task_id: uuid.UUID, caller: CallerDep, session: SessionDep) -> TaskDetail | TaskOut:
    """One task."""
    return _one(session, caller, service.find(session, caller, task_id))


@router.patch("/tasks/{task_id}")
def change(
    task_id: uuid.UUID, body: TaskPatch, user: Researcher, caller: CallerDep, session: SessionDep
) -> TaskDetail | TaskOut:
    """Change what a task wants; its question stays."""
    task = service.change(session, service.find(session, caller, task_id), body)
    changed = sorted(body.model_fields_set)
    audit.record(session, user, caller.project_id, "change", "task", task.id, {"name": task.name, "changed": changed})
    return _one(session, caller, task)


@router.post("/tasks/{task_id}/close")
def close(task_id: uuid.UUID, user: Researcher, caller: CallerDep, session: SessionDep) -> TaskDetail | TaskOut:
    """Hand out no more of it; labels on their way are kept."""
    task = service.close(service.find(session, caller, task_id))
    audit.record(session, user, caller.project_id, "close", "task", task.id, {"name": task.name})
    return _one(session, caller, task)


@router.post("/tasks/{task_id}/reopen")
def reopen(task_id: uuid.UUID, user: Researcher, caller: CallerDep, session: SessionDep) -> TaskDetail | TaskOut:
    """Let people go on."""
    task = service.reopen(service.find(session, caller, task_id))
    audit.record(session, user, caller.project_id, "reopen", "task", task.id, {"name": task.name})
    return _one(session, caller, task)


@router.post("/tasks/{task_id}/cards", response_model=CardsOut)
def next_task_cards(task_id: uuid.UUID, body: CardsIn, caller: CallerDep, session: SessionDep) -> Response:
    """Lease the next items, blind, in the person's own order of responses."""
    task = service.find(session, caller, task_id)
    cards, progress = submitting.next_cards(session, caller, task, body.n, body.holding)
    return answered(session, CardsOut(task_id=task.id, cards=cards, progress=progress))


@router.get("/tasks/{task_id}/withdrawn")
def list_withdrawn(task_id: uuid.UUID, caller: CallerDep, session: SessionDep) -> Page[WithdrawnCard]:
    """Of the cards that you were handed in the last ten minutes those whose item was withdrawn: nobody answers them."""
    task = service.find(session, caller, task_id)
    gone = leases.withdrawn(session, task, caller.user.id)
    return Page(items=[WithdrawnCard(item_id=one) for one in gone], next_cursor=None)


@router.put("/items/{item_id}/gold")
def put_gold(item_id: uuid.UUID, body: GoldIn, user: Researcher, project: ProjectDep, session: SessionDep) -> GoldOut:
    """Say what the answer to an item is; labels are measured by it."""
    gold = golds.put(session, project, user, item_id, body)
    audit.record(session, user, project.id, "set_gold", "item", item_id)
    return gold


@router.delete("/items/{item_id}/gold", status_code=204)
def remove_gold(item_id: uuid.UUID, user: Researcher, project: ProjectDep, session: SessionDep) -> None:
    """Forget the known answer to an item."""
    golds.remove(session, project, item_id)
    audit.record(session, user, project.id, "remove_gold", "item", item_id)


@router.get("/datasets/{dataset_id}/golds")
def list_golds(
    dataset_id: uuid.UUID,
    _: Researcher,
    project: ProjectDep,
    session: SessionDep,
    cursor: Cursor = None,
    limit: Limit = 100,
) -> Page[GoldOut]:
    """The known answers of a dataset, newest first."""
    rows, following = golds.page(session, project, dataset_id, cursor, limit)
    return Page(items=rows, next_cursor=following)


def _one(session: SessionDep, caller: CallerDep, task: Task) -> TaskDetail | TaskOut:
    (one,) = views.drawn(session, caller, [task])
    return one
