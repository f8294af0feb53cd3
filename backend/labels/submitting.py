"""A label stored once whatever happens on the way, the next card with it, and taking a label back."""

import hashlib
import json
import uuid
from collections.abc import Collection

from sqlalchemy import bindparam, exists, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from backend.datasets.models import Item
from backend.db import Base
from backend.errors import Conflict, NotFound
from backend.labels import dealing, editing, leases, meeting, tallies, versions
from backend.labels.caller import Caller
from backend.labels.cards import draw, shown_order
from backend.labels.meeting import Known, Met
from backend.labels.models import Label, LabelSource, Lease
from backend.labels.schemas import Card, LabelIn, Progress, SamePrompt
from backend.labels.tallies import Seen
from backend.suggestions import service as suggestions
from backend.tasks import answers, ending, places, progress
from backend.tasks import service as tasks
from backend.tasks.ending import ended
from backend.tasks.models import Gold, Task
from backend.tasks.schemas import Assistance, Question
from backend.work import now

LABELS = Base.metadata.tables[Label.__tablename__]
STORED = (
    *("project_id", "item_id", "dataset_id", "task_id", "annotator_id", "source", "kind", "value", "aspects"),
    *("swapped", "surplus", "seconds", "rationale", "client_id", "aided", "digest", "version"),
)
STORE = select(Label).from_statement(
    insert(LABELS)
    .values({name: bindparam(f"label_{name}") for name in STORED})
    .on_conflict_do_nothing(index_elements=["client_id"])
    .returning(LABELS)
    .add_cte(update(Lease).where(Lease.id == bindparam("lease")).values(expires_at=func.now()).cte("ended"))
)
"""A label, by its columns; the lease by which it was asked for ends."""


class ClientIdReused(Conflict):
    title = "Label id reused"


class ChangedSince(Conflict):
    title = "Changed since"


class NotUndone(Conflict):
    title = "Not undone here"


def next_cards(
    session: Session, caller: Caller, task: Task, n: int, holding: Collection[uuid.UUID]
) -> tuple[list[Card], Progress]:
    """The next items of a task for the person, leased to them, and how far it is.

    Raises TaskClosed, DeadlinePassed, NotYours.
    """
    tasks.refuse_stranger(session, caller, task)
    ending.refuse_ended(task)
    places.fill(session, task)
    held = dealing.take(session, task, caller.user.id, n, holding)
    return [_card(session, task, one) for one in held], progress.as_seen(session, caller, task)


def submit(
    session: Session, caller: Caller, item_id: uuid.UUID, body: LabelIn
) -> tuple[Label, Card | None, Progress | None]:
    """Store the person's label of an item once, however often it is sent; then lease them the next item.

    A lease that has run out does no harm: whoever was handed the item keeps what they said, as surplus where the task
    has all its labels of it by then. So does a task that ended: only changes come too late. A label of the same item
    under a new `client_id` is a new version. How far the task is, is counted only when there is no next item.
    """
    if body.edit:
        editing.lock(session, find_item(session, caller, item_id), caller.user.id, body.edit)
    met = meeting.lock(session, caller, item_id, body.lease)
    known = meeting.look(session, caller.user.id, met)
    task, at = known.task, None
    label = _stored(session, caller, known.seen, body)
    if label is None:
        label, at = _add(session, caller, met, known, body), met.place
    if ended(task) is not None or not known.may_label:
        return label, None, progress.as_seen(session, caller, task)
    upcoming = dealing.take(session, task, caller.user.id, 1, {*body.holding, item_id}, at=at)
    if upcoming:
        return label, _card(session, task, upcoming[0]), None
    return label, None, progress.as_seen(session, caller, task)


def is_late(session: Session, label: Label) -> bool:
    """Whether to tell its annotator that enough others had answered; never of a known answer, which more are asked."""
    return label.surplus and not session.scalar(select(exists().where(Gold.item_id == label.item_id)))


def undo(session: Session, caller: Caller, label_id: uuid.UUID) -> tuple[Card | None, Progress | None]:
    """Take back the person's own newest label of an item in a task, and what they edited with it: a new version says
    so, and the item is leased to them again unless others have it by now.  What they said in other tasks stands.
    What settled an item answers no task: taken back, the item is as it was before.

    Undoing twice is the same as once.  Raises NotUndone, NotYours, ChangedSince, Withdrawn, TaskClosed, DeadlinePassed.
    """
    label = _own(session, caller, label_id)
    if label.source is LabelSource.adjudication:
        leases.lock(session, label.item_id)
        _take_back(session, label)
        return None, None
    task = tasks.of_label(session, label)
    tasks.refuse_stranger(session, caller, task)
    editing.lock_made(session, label)
    item = leases.lock(session, label.item_id)
    leases.refuse_withdrawn(item)
    if places.lock(session, task.id, item.id) is None:
        places.fill_one(session, task.id, item)
    session.refresh(task)  # under the lock: it may just have been changed
    ending.refuse_ended(task)
    if _take_back(session, label):
        editing.take_back(session, label)
    free = leases.is_free(session, task, caller.user.id, item.id)
    held = leases.hold(session, task, caller.user.id, [item] if free else [])
    return _card(session, task, held[0]) if held else None, progress.as_seen(session, caller, task)


def _take_back(session: Session, label: Label) -> bool:
    """Whether the label, whose item the caller has locked, was taken back just now and not before.

    Raises ChangedSince.
    """
    last, *former = versions.newest(session, label)
    undone = "retracted" in last.value and label in former
    if last.id != label.id and not undone:
        raise ChangedSince("You have judged this again since.", remedy="Undo your newest label of it.")
    if undone or "retracted" in last.value:
        return False
    versions.take_back(session, label)
    return True


def _own(session: Session, caller: Caller, label_id: uuid.UUID) -> Label:
    """What the person said of an item here, not by a vote.  Raises NotFound, NotUndone."""
    label = session.get(Label, label_id)
    if label is None or label.annotator_id != caller.user.id or label.project_id != caller.project_id:
        raise NotFound.of("label")
    if label.source is LabelSource.vote:
        raise NotUndone("A vote is no answer to a task.", remedy="Change it where you gave it.")
    return label


def find_item(session: Session, caller: Caller, item_id: uuid.UUID) -> Item:
    """The item, if it is in the caller's project.  Raises NotFound."""
    item = session.get(Item, item_id)
    if item is None or item.project_id != caller.project_id:
        raise NotFound.of("item")
    return item


def _card(session: Session, task: Task, held: leases.Held) -> Card:
    same, assistance = None, Assistance.model_validate(task.assistance or {})
    suggested = suggestions.of_item(session, task, held.item.id) if assistance.suggest else None
    if suggested or held.lease.suggestion:  # else the lease need not be looked at again when all is stored
        held.lease.suggestion = {"value": suggested.value, **suggested.by} if suggested else None
    if assistance.group_prompts:
        item = held.item
        alike = Item.dataset_id == item.dataset_id, Item.prompt_hash == item.prompt_hash, Item.withdrawn_at.is_(None)
        before = func.count().filter(Item.position <= item.position)
        count, place = session.execute(select(func.count(), before).where(*alike)).one()
        same = SamePrompt(place=place, count=count)
    return draw(Question.model_validate(task.question), held, same, suggested)


def _stored(session: Session, caller: Caller, seen: Seen, body: LabelIn) -> Label | None:
    """The label that this request made the first time it came.  Raises ClientIdReused."""
    known = next((one for one in seen.spoken if one.client_id == body.client_id), None)
    if known is None:
        return None
    label = session.get_one(Label, known.id)
    if label.annotator_id != caller.user.id or label.digest not in (None, _digest(body)):
        raise _reused()
    return label


def _reused() -> ClientIdReused:
    return ClientIdReused("This id was used for another label.", field="client_id", remedy="Send a fresh id.")


def _digest(body: LabelIn) -> str:
    """Of what a request says, not of what it wants to be handed next."""
    said = body.model_dump(mode="json", exclude={"client_id", "holding", "lease"})
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def _add(session: Session, caller: Caller, met: Met, known: Known, body: LabelIn) -> Label:
    """Store the label and end its lease."""
    (item, place, lease), task = met, known.task
    leases.refuse_withdrawn(item)
    question = Question.model_validate(task.question)
    own = [one for one in known.seen.spoken if one.annotator_id == caller.user.id]
    version = max((one.version for one in own), default=0) + 1
    answer = max((one for one in own if one.answers(task)), key=lambda one: one.version, default=None)
    changes = answer is not None and "retracted" not in answer.value
    if (changes and answer and answer.task_id == task.id) or ((since := ended(task)) and lease.created_at > since):
        ending.refuse_ended(task)
    shown, count = body.value.as_shown(), len(item.responses)
    _check(question, body, count)
    order = shown_order(item.dataset_id, item.id, caller.user.id, count)
    elapsed = (now() - lease.created_at).total_seconds()
    named = {
        "lease": lease.id,
        "label_project_id": item.project_id,
        "label_item_id": item.id,
        "label_dataset_id": item.dataset_id,
        "label_task_id": task.id,
        "label_annotator_id": caller.user.id,
        "label_source": LabelSource.person,
        "label_kind": question.kind,
        "label_value": answers.to_item(shown, order),
        "label_aspects": answers.ratings_to_item(body.aspects, order) if body.aspects else None,
        "label_swapped": order == [1, 0],
        "label_surplus": versions.is_surplus(task, place, answer),
        "label_seconds": min(body.seconds, max(0.0, elapsed)),
        "label_rationale": body.rationale or None,
        "label_client_id": body.client_id,
        "label_aided": lease.suggestion,
        "label_digest": _digest(body),
        "label_version": version,
    }
    label: Label | None = session.scalars(STORE, named).first()
    if label is None:  # the same id came for another item
        raise _reused()
    tallies.note(session, label, place, known.seen)
    if body.edit:
        editing.add(session, task, item, order[body.edit.response], body.edit.text, label)
    return label


def _check(question: Question, body: LabelIn, count: int) -> None:
    """Raises UnknownChoice, WrongRatings, RationaleMissing, NotAsked."""
    value, skip = body.value.as_shown(), body.value.skip is not None
    answers.check(question, value, count)
    answers.check_ratings(question, body.aspects, count, skip=skip)
    answers.check_rationale(question, body.rationale, skip=skip)
    if body.edit:
        answers.check_edit(question, body.edit.response, count, skip=skip)
