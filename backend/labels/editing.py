"""A response that a person edited: a new item, the edited one beside the one that was edited, with a label for it."""

import uuid
from collections.abc import Collection
from typing import Any

from sqlalchemy import exists, select
from sqlalchemy.orm import Session

from alignment.formats import Item as ReadItem
from alignment.formats.canonical import content_hash
from backend.datasets import service as datasets
from backend.datasets.models import Dataset, Item, Kind
from backend.errors import Invalid
from backend.items.models import Withdrawal
from backend.labels import leases, tallies, versions
from backend.labels.cards import shown_order
from backend.labels.models import Label, LabelSource
from backend.labels.schemas import EditIn
from backend.tasks import places
from backend.tasks.models import Task
from backend.tasks.schemas import Question
from backend.work import now

MADE_BY = "edit"
TAKEN_BACK = "The edit that made it was taken back."
EDITED_AGAIN = "The same edit was made again."


class NothingEdited(Invalid):
    title = "Nothing edited"


def lock(session: Session, item: Item, user_id: uuid.UUID, edit: EditIn) -> None:
    """Lock the item that is edited and, if the dataset holds that already, the one that will be made, with their
    places; nobody else adds items to the dataset till the transaction ends."""
    places.hold_off(session, item.dataset_id)
    dataset = select(Dataset.id).where(Dataset.id == item.dataset_id)
    session.execute(dataset.with_for_update(key_share=True))
    order = shown_order(item.dataset_id, item.id, user_id, len(item.responses))
    known = None
    if edit.response < len(order):
        known = _find(session, item.dataset_id, _read(item, order[edit.response], edit.text))
    _lock(session, {item.id, known.id if known else item.id})


def lock_made(session: Session, label: Label) -> None:
    """The same before a label is taken back: its item, and what was edited with it."""
    own = _own(session, label)
    if own is not None:
        places.hold_off(session, label.dataset_id)
        _lock(session, {label.item_id, own.item_id})


def _lock(session: Session, ids: Collection[uuid.UUID]) -> None:
    for id in sorted(ids):
        leases.lock(session, id)
    places.lock_all(session, ids)


def _find(session: Session, dataset_id: uuid.UUID, read: ReadItem) -> Item | None:
    hashed = content_hash(read.prompt_hash, read.responses)
    return session.scalars(select(Item).where(Item.dataset_id == dataset_id, Item.content_hash == hashed)).first()


def _read(item: Item, response: int, text: str, **facts: Any) -> ReadItem:
    responses = [{"role": "assistant", "content": text}, item.responses[response]]
    return ReadItem(prompt=item.prompt, responses=responses, facts=facts)  # type: ignore[arg-type]


def add(session: Session, task: Task, item: Item, response: int, text: str, label: Label) -> None:
    """Afterwards the dataset holds the edited response beside the one that was edited, and the person's label that it
    is better, which is all that this task and those before it want of that; `label` is the one that it came with.

    The caller has called `lock`.  Raises NothingEdited, Withdrawn.
    """
    before = item.responses[response]
    if text.strip() == before["content"].strip():
        raise NothingEdited("The edited response says what it said before.", field="edit", remedy="Leave it out.")
    dataset = session.get_one(Dataset, task.dataset_id)
    ids = {"item_id": str(item.id), "task_id": str(task.id), "annotator_id": str(label.annotator_id)}
    meta = {"edit_of": {**ids, "response": response}}
    ranks = {"ranks": [1, 2]} if dataset.kind is Kind.ranked else {}
    read = _read(item, response, text, meta=meta, **ranks)
    datasets.append(session, dataset, [read])
    made = _find(session, dataset.id, read)
    assert made is not None  # noqa: S101  (it was just added)
    _label(session, task, made, label, first=made.responses[0]["content"] == text)


def _label(session: Session, task: Task, made: Item, label: Label, *, first: bool) -> None:
    made = leases.lock(session, made.id)
    if made.withdrawn_at is not None:
        _bring_back(session, made, label)
    place = places.fill_one(session, task.id, made)
    assert label.annotator_id is not None  # noqa: S101  (a person edits)
    answer = versions.answer(session, label.annotator_id, made.id, task)
    if answer is not None and "retracted" not in answer.value:
        return  # they have judged this very item: that stands
    row = Label(
        project_id=made.project_id,
        item_id=made.id,
        dataset_id=made.dataset_id,
        task_id=task.id,
        annotator_id=label.annotator_id,
        source=LabelSource.person,
        kind=label.kind,
        value=_better(Question.model_validate(task.question), first=first),
        surplus=versions.is_surplus(task, place, answer),
        client_id=_id(label),
        version=versions.following(session, label.annotator_id, made.id),
    )
    session.add(row)
    tallies.note(session, row, place)


def _bring_back(session: Session, made: Item, label: Label) -> None:
    """Raises Withdrawn unless it was withdrawn because the edit was taken back."""
    last = select(Withdrawal.reason).where(Withdrawal.item_id == made.id).order_by(Withdrawal.id.desc()).limit(1)
    if session.scalar(last) != TAKEN_BACK:
        raise leases.Withdrawn(
            "What you make of it was withdrawn from this dataset.",
            field="edit",
            remedy="Edit it in another way, or answer without an edit.",
        )
    _turn(session, made, label, withdrawn=False)


def _turn(session: Session, made: Item, label: Label, *, withdrawn: bool) -> None:
    made.withdrawn_at = now() if withdrawn else None
    tallies.note_withdrawal(session, made, withdrawn=withdrawn)
    told = {"restored": not withdrawn, "reason": TAKEN_BACK if withdrawn else EDITED_AGAIN}
    own = {"project_id": made.project_id, "item_id": made.id, "created_by": label.annotator_id}
    session.add(Withdrawal(**told, **own))


def _better(question: Question, *, first: bool) -> dict[str, object]:
    if question.kind == "ranking":
        return {"ranking": [[0], [1]] if first else [[1], [0]]}
    strength = 1 if question.scale == "preference" else 2
    return {"strength": strength if first else -strength}


def take_back(session: Session, label: Label) -> None:
    """Take back what was edited with a label that is taken back: its label, and the item if it was made by such an edit
    and nobody else has judged it.  The caller has called `lock_made`."""
    own = _own(session, label)
    if own is None or own.annotator_id is None:
        return
    made = leases.lock(session, own.item_id)
    if versions.newest(session, own)[0].id != own.id:
        return
    versions.take_back(session, own)
    session.refresh(made, ["judged"])
    by_edit = {"meta": {"edit_of": {"item_id": str(label.item_id)}}}
    is_made = session.scalar(select(exists().where(Item.id == made.id, Item.facts.contains(by_edit))))
    if is_made and not made.judged and made.withdrawn_at is None:
        _turn(session, made, label, withdrawn=True)


def _own(session: Session, label: Label) -> Label | None:
    """The label of what was edited with this one."""
    if label.client_id is None:
        return None
    return session.scalars(select(Label).where(Label.client_id == _id(label))).first()


def _id(label: Label) -> uuid.UUID:
    assert label.client_id is not None  # noqa: S101  (people's labels have one)
    return uuid.uuid5(label.client_id, MADE_BY)
