"""Counts of a dataset's labels, kept as labels come: counting a million takes longer than a page may.

A change is a row of its own, so that nobody waits for anybody; the counts are the sums, and the sweep adds rows up.
"""

import uuid
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import func, insert, select, text, update
from sqlalchemy.orm import Session

from backend.datasets.models import Dataset, Item
from backend.labels.models import Label, Tally

MANY = 100  # rows of a dataset that are left lying
LOCK = 0x54616C6C  # advisory lock key, "Tall"
SETTLE = text("""
WITH many AS (
    SELECT dataset_id FROM tallies GROUP BY dataset_id HAVING count(*) - count(DISTINCT (annotator_id, source)) > :many
), gone AS (
    DELETE FROM tallies WHERE dataset_id IN (SELECT dataset_id FROM many) RETURNING *
)
INSERT INTO tallies (dataset_id, annotator_id, source, labels, labelled, by_people, by_person)
SELECT dataset_id, annotator_id, source, sum(labels), sum(labelled), sum(by_people), sum(by_person)
FROM gone GROUP BY dataset_id, annotator_id, source
""")
RECOUNT = text("""
WITH gone AS (
    DELETE FROM tallies WHERE dataset_id = ANY(:datasets)
), own AS (
    SELECT *, coalesce(annotator_id, id) AS who
    FROM labels WHERE dataset_id = ANY(:datasets)
), newest AS (
    SELECT DISTINCT ON (item_id, who) * FROM own ORDER BY item_id, who, version DESC
), judged AS (
    SELECT * FROM newest WHERE NOT value ? 'retracted' AND NOT value ? 'skip'
), turned AS (
    UPDATE items SET judged = NOT items.judged WHERE dataset_id = ANY(:datasets)
    AND items.judged <> EXISTS (SELECT 1 FROM judged WHERE item_id = items.id AND annotator_id IS NOT NULL)
), sized AS (
    UPDATE datasets SET splits = (
        SELECT coalesce(jsonb_object_agg(split, items), '{}') FROM
        (SELECT split, count(*) AS items FROM items WHERE dataset_id = datasets.id GROUP BY split) AS each
    ) WHERE id = ANY(:datasets)
)
INSERT INTO tallies (dataset_id, annotator_id, source, labels, labelled, by_people, by_person)
SELECT dataset_id, annotator_id, source, count(*), 0, 0, 0 FROM own GROUP BY dataset_id, annotator_id, source
UNION ALL
SELECT dataset_id, NULL, 'import', 0, count(DISTINCT item_id),
    count(DISTINCT item_id) FILTER (WHERE annotator_id IS NOT NULL), 0
FROM judged GROUP BY dataset_id
UNION ALL
SELECT dataset_id, annotator_id, 'person', 0, 0, 0, count(DISTINCT item_id)
FROM judged WHERE annotator_id IS NOT NULL GROUP BY dataset_id, annotator_id
""")


class Said(NamedTuple):
    """What counts of a label: whose it is, of which kind, which version of theirs, and what it says."""

    annotator_id: uuid.UUID | None
    source: str
    version: int
    value: Mapping[str, Any]


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
    """How an item stands that has these labels: of each person the newest version counts, nobody's all do."""
    labelled, newest = False, dict[uuid.UUID, Said]()
    for said in labels:
        if said.annotator_id is None:
            labelled = labelled or _judges(said)
        elif said.annotator_id not in newest or newest[said.annotator_id].version < said.version:
            newest[said.annotator_id] = said
    people = frozenset(person for person, said in newest.items() if _judges(said))
    return Standing(labelled or bool(people), people)


def _judges(said: Said) -> bool:
    return "skip" not in said.value and "retracted" not in said.value


def note(session: Session, label: Label) -> None:
    """Count a label that was just added. The caller has locked its item."""
    session.flush()
    columns = (Label.annotator_id, Label.source, Label.version, Label.value)
    found = session.execute(select(Label.id, *columns).where(Label.item_id == label.item_id)).all()
    before = standing(Said(*row[1:]) for row in found if row[0] != label.id)
    after = standing(Said(*row[1:]) for row in found)
    judged = bool(after.people)
    session.add(
        Tally(
            dataset_id=label.dataset_id,
            annotator_id=label.annotator_id,
            source=label.source.value,
            labels=1,
            labelled=after.labelled - before.labelled,
            by_people=judged - bool(before.people),
            by_person=(label.annotator_id in after.people) - (label.annotator_id in before.people),
        )
    )
    if judged != bool(before.people):
        session.execute(update(Item).where(Item.id == label.item_id).values(judged=judged))


def note_new(session: Session, dataset_id: uuid.UUID, items: Iterable[tuple[Sequence[Said], Standing]]) -> None:
    """Count the labels of items that are new, and how those items stand."""
    counted: Counter[tuple[uuid.UUID | None, str, str]] = Counter()
    for labels, stands in items:
        waiting = set(stands.people)
        for place, (annotator, source, _, _) in enumerate(labels):
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
    among = select(Label.dataset_id).where(own)
    datasets = select(Dataset.id).where(Dataset.id.in_(among)).order_by(Dataset.id).with_for_update(key_share=True)
    found = session.scalars(datasets).all()
    items = select(Item.id).where(Item.id.in_(select(Label.item_id).where(own))).order_by(Item.id)
    session.execute(items.with_for_update(key_share=True))
    return found


def recount(session: Session, dataset_ids: Sequence[uuid.UUID]) -> None:
    """Count all that is kept of these datasets anew, after rows came or went by another way than one by one.

    Objects that the session has read before stay as they are.
    """
    session.flush()
    # Sums that are being written are not seen yet: they would stay beside the new ones.
    session.execute(select(func.pg_advisory_xact_lock(LOCK)))
    session.execute(RECOUNT, {"datasets": list(dataset_ids)})


def settle(session: Session, many: int = MANY) -> None:
    """Add up the rows of datasets that have more than `many` to spare, unless some are just being counted anew."""
    if session.scalar(select(func.pg_try_advisory_xact_lock(LOCK))):
        session.execute(SETTLE, {"many": many})
