"""Counts of a dataset's labels, kept as labels come: counting a million takes longer than a page may.

A change is a row of its own, so that nobody waits for anybody; the counts are the sums, and the sweep adds rows up.
"""

import uuid
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, bindparam, exists, false, func, insert, select, text
from sqlalchemy.dialects.postgresql import array
from sqlalchemy.orm import Session

from backend.datasets.models import Dataset, Item
from backend.labels import telling, voices
from backend.labels.counting import HOLD_PLACES, RECOUNT, SETTLE, store
from backend.labels.models import Label, LabelSource, Tally
from backend.labels.voices import SPOKEN, Spoken
from backend.tasks import places
from backend.tasks.models import Place, Task

MANY = 100  # rows of a dataset that are left lying
ALMOST = 64  # more than people label at one moment
COMPLETING = 0x446F6E65  # advisory lock key, "Done"
LOCK = 0x54616C6C  # advisory lock key, "Tall"
SPOKEN_OF = select(*SPOKEN).where(Label.item_id == bindparam("item"))


class Said(NamedTuple):
    """What counts of a label: whose it is, its kind and version, what it says, and to which task (`voices.task_of`)."""

    annotator_id: uuid.UUID | None
    source: str
    version: int
    value: Mapping[str, Any]
    task_id: uuid.UUID | None = None


class Standing(NamedTuple):
    """Whether anybody has judged an item, and the people who have."""

    labelled: bool
    people: frozenset[uuid.UUID]


class Counts(NamedTuple):
    """How far a dataset is: items that somebody, a person, and the one who asks has judged."""

    labelled: int
    by_people: int
    by_person: int


def standing(labels: Iterable[Said]) -> Standing:
    """How an item stands that has these labels: a person's newest count in each task and as settled, nobody's all."""
    labelled, newest = False, dict[tuple[uuid.UUID | None, uuid.UUID | None, bool], Said]()
    for said in labels:
        where = said.annotator_id, said.task_id, said.source == LabelSource.adjudication
        if said.annotator_id is None:
            labelled = labelled or _judges(said)
        elif where not in newest or newest[where].version < said.version:
            newest[where] = said
    people = frozenset(person for (person, _, _), said in newest.items() if person and _judges(said))
    return Standing(labelled or bool(people), people)


def _judges(said: Said | Label) -> bool:
    return "skip" not in said.value and "retracted" not in said.value


class Seen(NamedTuple):
    """The labels that an item has, read under its locks, whether its task has more than `ALMOST` open places, and
    whether webhooks listen in the project."""

    spoken: Sequence[Spoken]
    many_open: bool
    listened: bool = True


def note(session: Session, label: Label, place: Place | None = None, seen: Seen | None = None) -> None:
    """Count a label that was just added, close or reopen its place in its task, and tell webhooks of it.  The caller
    has locked its item, and its place if it gives that; and has `seen` what else was said of it since then, if so."""
    session.flush()
    if seen is None or seen.listened:
        telling.tell(session, label)
    if label.annotator_id is None:
        session.add(_of_nobody(session, label))
        session.flush()
        return
    task = _task_of(session, label)
    if seen is None:
        found = session.execute(SPOKEN_OF, {"item": label.item_id})
        seen = Seen([Spoken(*row) for row in found], many_open=False)
    if task is not None and place is None:
        place = places.lock(session, task.id, label.item_id)
        session.refresh(task, ["overlap"])  # under the lock: it may just have been changed
    others = [one for one in seen.spoken if one.id != label.id]
    all_of_it = [*others, voices.spoken(label, task)]
    before, after = (standing(Said(*one.said) for one in spoken) for spoken in (others, all_of_it))
    own = {
        "labels": 1,
        "labelled": after.labelled - before.labelled,
        "by_people": bool(after.people) - bool(before.people),
        "by_person": (label.annotator_id in after.people) - (label.annotator_id in before.people),
    }
    if task is None or place is None:  # without a place it is counted when the item gets one
        store(session, label, {label.annotator_id: own}, judged=bool(after.people))
        return
    then, stands = (_in_task(session, label, task, place, spoken) for spoken in (others, all_of_it))
    changed = {label.annotator_id: own | {"done": stands.done - then.done}}
    for person in {label.annotator_id, *(then.pending ^ stands.pending)}:
        changed.setdefault(person, {}).update(_changed(person, then, stands))
    store(session, label, changed, judged=bool(after.people), place=place, stands=stands)
    if stands.done > then.done and place.wants is None and not seen.many_open and _completed(session, task):
        telling.tell_completed(session, task)


def _in_task(session: Session, label: Label, task: Task, place: Place, spoken: Iterable[Spoken]) -> places.Standing:
    """How the label's item stands in the task with what was said of it."""
    answers = [one for one in spoken if one.answers(task)]
    said = [places.Said(one.annotator_id, one.version, one.value, one.surplus) for one in answers if one.annotator_id]
    withdrawn = session.get_one(Item, label.item_id).withdrawn_at is not None
    return places.standing(said, places.wanted(task, place), withdrawn=withdrawn)


def _changed(person: uuid.UUID, then: places.Standing, stands: places.Standing) -> dict[str, int]:
    """What changes for a person of what they have done in a task."""
    return {
        "given": (person in stands.given) - (person in then.given),
        "pending": (person in stands.pending) - (person in then.pending),
        "skipped": (person in stands.skipped) - (person in then.skipped),
    }


def _of_nobody(session: Session, label: Label) -> Tally:
    """What a label without a person changes: whether anybody has judged the item.  Of an item with as many labels as
    feedback brings, they are not all read for each new one."""
    others = Label.item_id == label.item_id, Label.id != label.id, Label.annotator_id.is_(None)
    judging = exists().where(*others, ~Label.value.has_any(array(["skip", "retracted"])))
    known = session.scalar(select(Item.judged | judging).where(Item.id == label.item_id))
    labelled = int(not known and _judges(label))
    return Tally(dataset_id=label.dataset_id, source=label.source.value, labels=1, labelled=labelled)


def _task_of(session: Session, label: Label) -> Task | None:
    """The task that a person's label answers: its own, and without one the standing task of the dataset, if any."""
    if label.source is LabelSource.adjudication:
        return None
    if label.task_id is not None:
        return session.get_one(Task, label.task_id)
    return session.scalars(select(Task).where(Task.dataset_id == label.dataset_id, Task.standing)).first()


def _completed(session: Session, task: Task) -> bool:
    """Whether no item of the task wants more.  The last few labels wait for each other, so that one of them sees it."""
    few = select(Place.item_id).where(Place.task_id == task.id, Place.open).limit(ALMOST)
    if len(session.scalars(few).all()) == ALMOST:
        return False
    session.execute(select(func.pg_advisory_xact_lock(COMPLETING, func.hashtext(str(task.id)))))
    return not places.wants(session, task.id)


def note_withdrawal(session: Session, item: Item, *, withdrawn: bool) -> None:
    """Count that an item is withdrawn, or is back.  The caller has called `places.hold_off` and locked the item."""
    held = {place.task_id: place for place in places.lock_all(session, [item.id])}
    found, closed = select(Task).where(Task.id.in_(held)).order_by(Task.id), list[Task]()
    for task in session.scalars(found, execution_options={"populate_existing": True}).all():
        place = held[task.id]
        in_task = (Label.task_id == task.id) | (Label.task_id.is_(None) if task.standing else false())
        own = in_task, Label.item_id == item.id, Label.annotator_id.is_not(None)
        columns = select(Label.annotator_id, Label.version, Label.value, Label.surplus)
        rows = session.execute(columns.where(*own, Label.source != LabelSource.adjudication))
        said = [places.Said(*row) for row in rows]
        then = places.standing(said, places.wanted(task, place), withdrawn=not withdrawn)
        stands = places.standing(said, places.wanted(task, place), withdrawn=withdrawn)
        if place.open and not stands.open:
            closed.append(task)
        place.open = stands.open
        if stands.open:
            places.reopened(session, place, None)
        common = {"dataset_id": item.dataset_id, "task_id": task.id, "source": LabelSource.person.value}
        session.add(Tally(**common, done=stands.done - then.done))
        for person in then.pending ^ stands.pending:
            pending = (person in stands.pending) - (person in then.pending)
            skipped = (person in stands.skipped) - (person in then.skipped)
            session.add(Tally(**common, annotator_id=person, pending=pending, skipped=skipped))
    session.flush()
    for task in filter(lambda one: _completed(session, one), closed):
        telling.tell_completed(session, task)


def note_new(session: Session, dataset_id: uuid.UUID, items: Iterable[tuple[Sequence[Said], Standing]]) -> None:
    """Count the labels of items that are new, and how those items stand."""
    counted: Counter[tuple[uuid.UUID | None, str, str]] = Counter()
    for labels, stands in items:
        waiting = set(stands.people)
        for place, (annotator, source, *_) in enumerate(labels):
            counted[annotator, source, "labels"] += 1
            if place == 0:
                counted[annotator, source, "labelled"] += stands.labelled
                counted[annotator, source, "by_people"] += bool(stands.people)
            if annotator in waiting:
                waiting.remove(annotator)
                counted[annotator, source, "by_person"] += 1
    rows = [
        {"dataset_id": dataset_id, "annotator_id": annotator, "source": source}
        | {name: counted[annotator, source, name] for name in ("labels", "labelled", "by_people", "by_person")}
        for annotator, source in {key[:2]: None for key in counted}
    ]
    if rows:
        session.execute(insert(Tally), rows)


def counts(
    session: Session, dataset_ids: Sequence[uuid.UUID], user_id: uuid.UUID | None = None
) -> dict[uuid.UUID, Counts]:
    """How far each of these datasets is; `by_person` is about `user_id`."""
    own = func.coalesce(func.sum(Tally.by_person).filter(Tally.annotator_id == user_id), 0)
    query = select(Tally.dataset_id, func.sum(Tally.labelled), func.sum(Tally.by_people), own)
    rows = session.execute(query.where(Tally.dataset_id.in_(dataset_ids)).group_by(Tally.dataset_id))
    return {row[0]: Counts(*row[1:]) for row in rows}


class TaskCounts(NamedTuple):
    """How far a task is: items done, and of one person's items those they judged, those that want more of others, and
    those that they skipped."""

    done: int = 0
    given: int = 0
    pending: int = 0
    skipped: int = 0


def of_tasks(session: Session, task_ids: Sequence[uuid.UUID], user_id: uuid.UUID) -> dict[uuid.UUID, TaskCounts]:
    """How far each of these tasks is; the last three numbers are about `user_id`."""
    own = Tally.annotator_id == user_id
    mine = [func.coalesce(func.sum(column).filter(own), 0) for column in (Tally.given, Tally.pending, Tally.skipped)]
    query = select(Tally.task_id, func.sum(Tally.done), *mine)
    rows: Any = session.execute(query.where(Tally.task_id.in_(task_ids)).group_by(Tally.task_id))
    return {row[0]: TaskCounts(*row[1:]) for row in rows}


def sources(session: Session, dataset_id: uuid.UUID) -> dict[str, int]:
    """Number of labels of each source in a dataset, every version counted."""
    total = func.sum(Tally.labels)
    query = select(Tally.source, total).where(Tally.dataset_id == dataset_id).group_by(Tally.source).having(total > 0)
    return {row[0]: row[1] for row in session.execute(query)}


def hold(session: Session, user_id: uuid.UUID) -> Sequence[uuid.UUID]:
    """The datasets that hold labels of a person, to be counted anew once those are gone.

    Until the transaction ends nobody adds to these datasets or judges those items: what was counted beside a label
    that is about to go would be counted wrong.
    """
    own = Label.annotator_id == user_id
    found = _lock_datasets(session, Dataset.id.in_(select(Label.dataset_id).where(own)))
    items = select(Item.id).where(Item.id.in_(select(Label.item_id).where(own))).order_by(Item.id)
    session.execute(items.with_for_update(key_share=True))
    return found


def _lock_datasets(session: Session, which: ColumnElement[bool]) -> Sequence[uuid.UUID]:
    locked = select(Dataset.id).where(which).order_by(Dataset.id).with_for_update(key_share=True)
    return session.scalars(locked).all()


def recount(session: Session, dataset_ids: Sequence[uuid.UUID]) -> None:
    """Count all that is kept of these datasets anew, after rows came or went by another way than one by one.

    Objects that the session has read before stay as they are. The datasets are locked before all else, as `hold` does.
    """
    session.flush()
    _lock_datasets(session, Dataset.id.in_(dataset_ids))
    # Sums that are being written are not seen yet: they would stay beside the new ones.
    session.execute(select(func.pg_advisory_xact_lock(LOCK)))
    session.execute(HOLD_PLACES, {"datasets": list(dataset_ids)})
    # Just after an import the planner takes tables for small, and would look through all answers for each place.
    session.execute(text("SET LOCAL enable_nestloop = off"))
    session.execute(RECOUNT, {"datasets": list(dataset_ids)})
    session.execute(text("SET LOCAL enable_nestloop = on"))
    for task_id in session.scalars(select(Task.id).where(Task.dataset_id.in_(dataset_ids)).order_by(Task.id)).all():
        places.forget_lows(session, task_id)


def settle(session: Session, many: int = MANY) -> None:
    """Add up the rows of datasets that have more than `many` to spare, unless some are just being counted anew."""
    if session.scalar(select(func.pg_try_advisory_xact_lock(LOCK))):
        session.execute(SETTLE, {"many": many})
