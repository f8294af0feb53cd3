"""The statements that store what a label changes, that count labels anew, all of a dataset in one, and that add up
what was counted."""

import uuid
from collections.abc import Mapping

import orjson
from sqlalchemy import Boolean, Integer, Uuid, bindparam, text
from sqlalchemy.orm import Session
from sqlalchemy.orm.attributes import set_committed_value

from backend.labels.models import Label
from backend.tasks import places
from backend.tasks.models import Place

SETTLE = text("""
WITH many AS (
    SELECT dataset_id FROM tallies GROUP BY dataset_id
    HAVING count(*) - count(DISTINCT (annotator_id, source, task_id)) > :many
), gone AS (
    DELETE FROM tallies WHERE dataset_id IN (SELECT dataset_id FROM many) RETURNING *
)
INSERT INTO tallies (
    dataset_id, annotator_id, source, task_id, labels, labelled, by_people, by_person, done, given, pending, skipped
)
SELECT dataset_id, annotator_id, source, task_id, sum(labels), sum(labelled), sum(by_people), sum(by_person),
    sum(done), sum(given), sum(pending), sum(skipped)
FROM gone GROUP BY dataset_id, annotator_id, source, task_id
""")
WRITE = text("""
WITH counted AS (
    INSERT INTO tallies (
        dataset_id, annotator_id, source, task_id, labels, labelled, by_people, by_person, done, given, pending, skipped
    )
    SELECT dataset_id, annotator_id, source, task_id, labels, labelled, by_people, by_person, done, given, pending,
        skipped
    FROM jsonb_populate_recordset(CAST(NULL AS tallies), CAST(:rows AS jsonb))
), stood AS (
    UPDATE places SET taken = :taken, open = :open WHERE task_id = :task AND item_id = :item
    AND (taken, open) IS DISTINCT FROM (:taken, :open)
)
UPDATE items SET judged = :judged WHERE id = :item AND judged <> :judged
""").bindparams(
    *(bindparam(name, type_=Uuid) for name in ("task", "item")),
    *(bindparam(name, type_=Boolean) for name in ("open", "judged")),
    bindparam("taken", type_=Integer),
)
COUNTED = "labels", "labelled", "by_people", "by_person", "done", "given", "pending", "skipped"
HOLD_PLACES = text("""
SELECT 1 FROM places JOIN tasks ON tasks.id = places.task_id WHERE tasks.dataset_id = ANY(:datasets)
ORDER BY places.item_id, places.task_id FOR NO KEY UPDATE OF places
""")
RECOUNT = text("""
WITH gone AS (
    DELETE FROM tallies WHERE dataset_id = ANY(:datasets)
), own AS (
    SELECT labels.*, coalesce(labels.annotator_id, labels.id) AS who, answered.id AS answered,
        labels.source = 'adjudication' AS settles
    FROM labels LEFT JOIN tasks AS answered ON answered.id = labels.task_id AND NOT answered.standing
    WHERE labels.dataset_id = ANY(:datasets)
), newest AS (
    SELECT DISTINCT ON (item_id, who, answered, settles) * FROM own
    ORDER BY item_id, who, answered, settles, version DESC
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
), answers AS (
    SELECT DISTINCT ON (tasks.id, own.item_id, own.who) tasks.id AS task_id, own.item_id, own.annotator_id,
        own.surplus, own.value ? 'skip' AS skip, own.value ? 'retracted' AS retracted
    FROM own JOIN tasks ON tasks.dataset_id = own.dataset_id
        AND (own.task_id = tasks.id OR tasks.standing AND own.task_id IS NULL)
    WHERE own.annotator_id IS NOT NULL AND own.source <> 'adjudication'
    ORDER BY tasks.id, own.item_id, own.who, own.version DESC
), stood AS (
    SELECT places.task_id, places.item_id, tasks.dataset_id, places.taken AS had, places.open AS was,
        items.withdrawn_at IS NULL AS kept, coalesce(places.wants, tasks.overlap) AS wanted,
        count(answers.*) FILTER (WHERE NOT skip AND NOT retracted AND NOT surplus) AS taken
    FROM tasks JOIN places ON places.task_id = tasks.id JOIN items ON items.id = places.item_id
        LEFT JOIN answers ON answers.task_id = places.task_id AND answers.item_id = places.item_id
    WHERE tasks.dataset_id = ANY(:datasets)
    GROUP BY places.task_id, places.item_id, tasks.dataset_id, items.withdrawn_at, tasks.overlap
), placed AS (
    UPDATE places SET taken = stood.taken, open = stood.kept AND stood.taken < stood.wanted FROM stood
    WHERE places.task_id = stood.task_id AND places.item_id = stood.item_id
    AND (had, was) IS DISTINCT FROM (stood.taken::int, stood.kept AND stood.taken < stood.wanted)
)
INSERT INTO tallies (
    dataset_id, annotator_id, source, task_id, labels, labelled, by_people, by_person, done, given, pending, skipped
)
SELECT dataset_id, annotator_id, source, NULL::uuid, count(*), 0, 0, 0, 0, 0, 0, 0
FROM own GROUP BY dataset_id, annotator_id, source
UNION ALL
SELECT dataset_id, NULL, 'import', NULL, 0, count(DISTINCT item_id),
    count(DISTINCT item_id) FILTER (WHERE annotator_id IS NOT NULL), 0, 0, 0, 0, 0
FROM judged GROUP BY dataset_id
UNION ALL
SELECT dataset_id, annotator_id, 'person', NULL, 0, 0, 0, count(DISTINCT item_id), 0, 0, 0, 0
FROM judged WHERE annotator_id IS NOT NULL GROUP BY dataset_id, annotator_id
UNION ALL
SELECT dataset_id, NULL, 'person', task_id, 0, 0, 0, 0, count(*) FILTER (WHERE kept AND taken >= wanted), 0, 0, 0
FROM stood GROUP BY dataset_id, task_id
UNION ALL
SELECT dataset_id, annotator_id, 'person', task_id, 0, 0, 0, 0, 0, count(*) FILTER (WHERE NOT skip),
    count(*) FILTER (WHERE kept AND taken < wanted), count(*) FILTER (WHERE skip AND kept AND taken < wanted)
FROM answers JOIN stood USING (task_id, item_id) WHERE NOT retracted GROUP BY dataset_id, annotator_id, task_id
""")


def store(
    session: Session,
    label: Label,
    changed: Mapping[uuid.UUID, dict[str, int]],
    *,
    judged: bool,
    place: Place | None = None,
    stands: places.Standing | None = None,
) -> None:
    """Store what changes for people, whether people have judged the item, and how it stands in the task."""
    of = {"dataset_id": label.dataset_id, "source": label.source.value, "task_id": place.task_id if place else None}
    rows = [{**of, **dict.fromkeys(COUNTED, 0), "annotator_id": person, **counts} for person, counts in changed.items()]
    named = {
        "rows": orjson.dumps(rows).decode(),
        "item": label.item_id,
        "judged": judged,
        "task": place.task_id if place else None,
        "taken": stands.taken if stands else 0,
        "open": stands.open if stands else False,
    }
    session.execute(WRITE, named)
    if place is None or stands is None:
        return
    reopens = stands.open and not place.open
    set_committed_value(place, "taken", stands.taken)
    set_committed_value(place, "open", stands.open)
    if reopens:
        places.reopened(session, place, label.annotator_id)
