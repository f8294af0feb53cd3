"""Tasks: making them, finding those that a person may label in, changing, closing and reopening them."""

import uuid
from collections.abc import Collection, Sequence
from typing import Literal

from sqlalchemy import BindParameter, ColumnElement, delete, exists, func, not_, or_, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session, object_session

from backend import paging
from backend.accounts.models import User
from backend.datasets import service as datasets
from backend.datasets.kinds import PURPOSES
from backend.datasets.models import Dataset, Kind
from backend.errors import Conflict, Invalid, NotAllowed, NotFound
from backend.labels import tallies, telling
from backend.labels.caller import Caller
from backend.labels.models import Label
from backend.projects.models import Membership, Project
from backend.tasks import places
from backend.tasks.models import Order, Task, TaskPerson
from backend.tasks.schemas import Assistance, Question, QuestionKind, TaskIn, TaskPatch
from backend.webhooks import outbox
from backend.work import now

KINDS: dict[Kind, tuple[QuestionKind, ...]] = {
    Kind.paired: ("pair", "ranking"),
    Kind.ranked: ("ranking",),
    Kind.unpaired: ("thumb",),
    Kind.demonstrations: ("thumb",),
}
State = Literal["open", "closed"]


class NothingToLabel(Conflict):
    title = "Nothing to label"


class QuestionDoesNotFit(Invalid):
    title = "Question does not fit"


class PastDeadline(Invalid):
    title = "Deadline in the past"


class NotAMember(Invalid):
    title = "Not a member"


class TwoOrders(Invalid):
    title = "Two orders"


class NotYours(NotAllowed):
    title = "Not your task"


def create(session: Session, project: Project, user: User, body: TaskIn) -> Task:
    """A new task.  Raises NotFound, NothingToLabel, QuestionDoesNotFit, PastDeadline, NotAMember."""
    dataset = datasets.find(session, project, body.dataset_id)
    kinds = _kinds(dataset)
    if body.question.kind not in kinds:
        raise QuestionDoesNotFit(
            f"“{dataset.name}” is {PURPOSES[dataset.kind]} It takes questions of the kind {' or '.join(kinds)}.",
            field="question.kind",
            remedy="Choose another question or another dataset.",
        )
    _refuse_past(body)
    task = Task(
        project_id=project.id,
        created_by=user.id,
        question=body.question.model_dump(),
        assistance=body.assistance.model_dump() if body.assistance else None,
        **body.model_dump(exclude={"question", "assistance", "people"}),
    )
    session.add(task)
    session.flush()
    _name(session, task, body.people)
    places.fill(session, task)
    return task


def _kinds(dataset: Dataset) -> tuple[QuestionKind, ...]:
    kinds = KINDS.get(dataset.kind)
    if kinds is None:
        raise NothingToLabel(f"“{dataset.name}” holds prompts alone.", remedy="Choose a dataset with responses.")
    return kinds


def _refuse_past(body: TaskIn | TaskPatch) -> None:
    if body.deadline is not None and body.deadline <= now():
        raise PastDeadline(
            "That time is over by the server's clock.",
            field="deadline",
            remedy="Choose a later one, or close the task.",
        )


def _name(session: Session, task: Task, people: Collection[uuid.UUID]) -> None:
    """Afterwards these people may label in the task, or every member when there are none.  Raises NotAMember."""
    wanted = set(people)
    members = select(Membership.user_id).where(Membership.project_id == task.project_id)
    known = set(session.scalars(members.where(Membership.user_id.in_(wanted))))
    if wanted - known:
        raise NotAMember(
            f"{len(wanted - known)} of these people are not in this project.",
            field="people",
            remedy="Name members, or invite them first.",
        )
    session.execute(delete(TaskPerson).where(TaskPerson.task_id == task.id))
    if wanted:
        session.execute(insert(TaskPerson), [{"task_id": task.id, "user_id": one} for one in sorted(wanted)])


def change(session: Session, task: Task, body: TaskPatch) -> Task:
    """Give the task what the body names.  Raises PastDeadline, NotAMember, TwoOrders."""
    session.refresh(task, with_for_update={"key_share": True})
    given = body.model_dump(exclude_unset=True, exclude={"people", "assistance"})
    if "assistance" in body.model_fields_set:
        given["assistance"] = body.assistance.model_dump() if body.assistance else None
    if given.get("deadline") != task.deadline:
        _refuse_past(body)
    recount = given.get("overlap", task.overlap) != task.overlap
    before = _arranged(task)
    for name, value in given.items():
        setattr(task, name, value)
    _refuse_two_orders(task)
    session.flush()
    if _arranged(task) != before:
        places.reorder(session, task)
    if body.people is not None:
        _name(session, task, body.people)
    if recount:
        wanted = places.wants(session, task.id)
        tallies.recount(session, [task.dataset_id])  # afterwards it holds every place: nobody else completes the task
        if wanted and not places.wants(session, task.id):
            telling.tell_completed(session, task)
    return task


def _arranged(task: Task) -> tuple[Order, bool]:
    """What decides in which order items are handed out."""
    return task.order, Assistance.model_validate(task.assistance or {}).group_prompts


def _refuse_two_orders(task: Task) -> None:
    if _arranged(task) == (Order.uncertainty, True):
        raise TwoOrders(
            "The most uncertain first and equal prompts together are two orders.",
            field="order",
            remedy="Choose one of them.",
        )


def close(task: Task) -> Task:
    """Afterwards nobody is handed more of it; labels that are on their way are kept.  Closing twice is as once."""
    session = object_session(task)
    if task.closed_at is None and session is not None:
        data = {"id": str(task.id), "dataset_id": str(task.dataset_id), "name": task.name}
        outbox.tell(session, task.project_id, "task.closed", data)
    task.closed_at = task.closed_at or now()
    return task


def reopen(task: Task) -> Task:
    """Afterwards people may go on.  Reopening twice is as once."""
    task.closed_at = None
    return task


def find(session: Session, caller: Caller, task_id: uuid.UUID) -> Task:
    """The task, if the person may see it: annotators see those that they may label in.  Raises NotFound."""
    task = session.get(Task, task_id)
    if task is None or task.project_id != caller.project_id:
        raise NotFound.of("task")
    if not caller.researches and not may_label(session, caller, task):
        raise NotFound.of("task")
    return task


def page(
    session: Session, caller: Caller, cursor: str | None, limit: int, dataset_id: uuid.UUID | None, state: State | None
) -> tuple[Sequence[Task], str | None]:
    """Tasks that the person may see, newest first, and the cursor of the next page; annotators see open ones."""
    query = select(Task).where(Task.project_id == caller.project_id)
    if dataset_id is not None:
        query = query.where(Task.dataset_id == dataset_id)
    if not caller.researches:
        query = query.where(_is_open(), labelled_by(caller.user.id))
    if state is not None:
        query = query.where(_is_open() if state == "open" else not_(_is_open()))
    return paging.page(session, query, Task.id, cursor, limit)


def _is_open() -> ColumnElement[bool]:
    return Task.closed_at.is_(None) & or_(Task.deadline.is_(None), Task.deadline > func.now())


def labelled_by(user_id: uuid.UUID | BindParameter[uuid.UUID]) -> ColumnElement[bool]:
    """The person, who is in the project, may label in the task."""
    named = exists().where(TaskPerson.task_id == Task.id)
    return or_(not_(named), exists().where(TaskPerson.task_id == Task.id, TaskPerson.user_id == user_id))


def may_label(session: Session, caller: Caller, task: Task) -> bool:
    """Whether the person, who is in the project, may label in the task."""
    return bool(session.scalar(select(Task.id).where(Task.id == task.id, labelled_by(caller.user.id))))


def refuse_stranger(session: Session, caller: Caller, task: Task) -> None:
    """Raises NotYours."""
    if not may_label(session, caller, task):
        raise NotYours(f"“{task.name}” is for other people.", remedy="Ask a researcher to name you in it.")


def of_dataset(session: Session, caller: Caller, dataset: Dataset) -> Task:
    """The task that a person labels in who names a dataset only: the newest open one that they may label in, and the
    standing one where nobody made any.  Raises NothingToLabel."""
    mine = Task.dataset_id == dataset.id, _is_open(), labelled_by(caller.user.id)
    found = session.scalars(select(Task).where(*mine).order_by(Task.standing, Task.id.desc()).limit(1)).first()
    if found is not None:
        return found
    if session.scalar(select(exists().where(Task.dataset_id == dataset.id, not_(Task.standing)))):
        raise NothingToLabel(
            f"No task about “{dataset.name}” is open for you.", remedy="Choose another, or ask a researcher."
        )
    return standing(session, dataset)


def of_label(session: Session, label: Label) -> Task:
    """The task that a label answers: what people said outside of tasks answers the standing one."""
    if label.task_id is not None:
        return session.get_one(Task, label.task_id)
    return standing(session, session.get_one(Dataset, label.dataset_id))


def standing(session: Session, dataset: Dataset) -> Task:
    """The task that a dataset has when nobody made one; made when it is first asked for.  Raises NothingToLabel."""
    found = select(Task).where(Task.dataset_id == dataset.id, Task.standing)
    task = session.scalars(found).first()
    if task is None:
        row = {
            "project_id": dataset.project_id,
            "dataset_id": dataset.id,
            "name": dataset.name,
            "question": Question(kind=_kinds(dataset)[0]).model_dump(),
            "guidelines": "",
            "overlap": 1,
            "gold_share": 0.0,
            "order": Order.sequential,
            "seed": 0,
            "standing": True,
        }
        session.execute(insert(Task).values(**row).on_conflict_do_nothing())
        task = session.scalars(found).one()
    places.fill(session, task)
    return task
