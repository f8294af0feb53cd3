"""Freezing a dataset: what training can use of it as a content-hashed folder that runs train on."""

import errno
import hashlib
import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import psycopg
from sqlalchemy import Row, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from alignment.formats import Item as ReadItem
from alignment.formats import snapshot
from alignment.formats.facts import training_facts
from alignment.formats.judged import judged
from alignment.formats.preference import Decision, LeftOut, Policy, decisions
from alignment.formats.writing import UNDECIDED
from backend import paging, storage
from backend.datasets import reading
from backend.datasets.asked import refuse_other_task
from backend.datasets.kinds import PURPOSES
from backend.datasets.models import Dataset, Kind, Snapshot, SnapshotLabel
from backend.errors import Invalid, NoSpace, NotFound
from backend.labels.models import Label
from backend.projects.models import Project
from backend.secrets import seal
from backend.settings import get_settings


class NothingToTrainOn(Invalid):
    title = "Nothing to train on"


def freeze(session: Session, dataset: Dataset, policy: Policy, root: Path) -> Snapshot:
    """The snapshot of the dataset as it is now, of pairs the decided ones; the one that is there already when nothing
    changed.

    `root` is the folder where it is written before it is stored.  Raises NothingToTrainOn with the reason, NoSpace when
    the disk is full, StorageTrouble, OtherTask.
    """
    refuse_other_task(session, dataset, policy)
    if dataset.kind is Kind.prompts:
        raise NothingToTrainOn(
            f"“{dataset.name}” holds {PURPOSES[dataset.kind]}",
            field="dataset_id",
            remedy="Choose data with answers.",
        )
    watermark = session.scalar(
        select(Label.id)
        .where(Label.dataset_id == dataset.id)
        .order_by(Label.id.desc())  # Postgres has no max(uuid)
        .limit(1)
    )
    left_out: Counter[str] = Counter()
    wanted: Counter[str] = Counter()
    used: list[uuid.UUID] = []
    found = (
        _decided(session, dataset, policy, watermark, left_out, used)
        if dataset.kind is Kind.paired
        else _judged(session, dataset, policy, watermark, left_out, wanted, used)
    )
    try:
        manifest = snapshot.write(
            root,
            found,
            kind=dataset.kind.value,
            policy=policy.model_dump(mode="json"),
            dataset={"id": str(dataset.id), "name": dataset.name},
            label_watermark=str(watermark) if watermark else None,
        )
    except snapshot.EmptySnapshot:
        raise _nothing(dataset, left_out) from None
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise NoSpace(
            "The disk is full: the snapshot was not written.", remedy="Free some space, then try again."
        ) from None
    if not manifest.counts.get("train"):
        raise NothingToTrainOn(
            f"All {sum(manifest.counts.values())} usable items of “{dataset.name}” fall into the validation and test"
            " splits.",
            field="dataset_id",
            remedy="Add more, or label more pairs: nine prompts in ten belong to the training split.",
        )
    key = storage.put(root / manifest.hash, f"snapshots/{manifest.hash}", move=True)
    counts = {**manifest.counts, "left_out": dict(left_out)}
    if dataset.kind is Kind.unpaired:
        counts["desirable"] = dict(wanted)
    return _recorded(session, dataset, manifest, watermark, key, counts, used)


def _decided(
    session: Session,
    dataset: Dataset,
    policy: Policy,
    watermark: uuid.UUID | None,
    left_out: Counter[str],
    used: list[uuid.UUID],
) -> Iterator[snapshot.Example]:
    """What the decided pairs become; counts those left out, and notes the labels behind the others."""
    named = policy.unit == "label"
    key = seal.derived(b"annotators" + dataset.id.bytes, seal.keys(get_settings())) if named else b""
    for item, split, labels in reading.walk(session, dataset.id, watermark, task_id=policy.task):
        decided = decisions_on(item, policy)
        if isinstance(decided, str):
            left_out[decided] += 1
            continue
        used.extend(labels)
        for place, decision in enumerate(decided):
            id = f"{item.id}/{place}" if named else item.id or ""
            facts = _unnamed(decision, key) if named else decision.facts  # of a pair, what a file says of it
            yield snapshot.Example(id, split, item.prompt, decision.responses, facts)


def _unnamed(decision: Decision, key: bytes) -> dict[str, Any]:
    """The facts, with a word in the place of who judged, the same under one key, which names nobody without it."""
    who = decision.facts.get("annotator")
    if who is None:
        return decision.facts
    return decision.facts | {"annotator": hashlib.blake2b(str(who).encode(), key=key, digest_size=8).hexdigest()}


def decisions_on(item: ReadItem, policy: Policy) -> list[Decision] | LeftOut:
    """What freezing makes of a pair, or why it is left out."""
    return "media" if item.has_media else decisions(item, policy)


def judged_on(item: ReadItem, kind: Kind, policy: Policy) -> dict[str, Any] | LeftOut:
    """What freezing makes of the facts of a ranking, a thumb or a demonstration, or why it is left out."""
    return "media" if item.has_media else judged(item, kind.value, policy)


def _judged(
    session: Session,
    dataset: Dataset,
    policy: Policy,
    watermark: uuid.UUID | None,
    left_out: Counter[str],
    wanted: Counter[str],
    used: list[uuid.UUID],
) -> Iterator[snapshot.Example]:
    """Every item as its labels have it; counts those left out, and the wanted ones of each split."""
    for item, split, labels in reading.walk(session, dataset.id, watermark, task_id=policy.task):
        facts = judged_on(item, dataset.kind, policy)
        if isinstance(facts, str):
            left_out[facts] += 1
            continue
        used.extend(labels)
        wanted[split] += bool(facts.get("desirable"))
        yield snapshot.Example(item.id or "", split, item.prompt, item.responses, training_facts(facts))


def _nothing(dataset: Dataset, left_out: Counter[str]) -> NothingToTrainOn:
    total = left_out.total()
    if not total:
        detail, remedy = f"“{dataset.name}” is empty.", "Import data into a dataset first."
    elif left_out["unlabelled"] == total:
        detail, remedy = f"No labelled pair yet in “{dataset.name}” ({total:,} wait).", "Label some first."
    elif dataset.kind is not Kind.paired:
        detail = f"Nothing in “{dataset.name}” is text alone, in an order where it needs one."
        remedy = "Give its answers ranks or scores, or choose other data."
    else:
        parts = ", ".join(f"{count:,} {UNDECIDED[why]}" for why, count in left_out.most_common())
        detail = f"No pair of “{dataset.name}” is decided: {parts}."
        remedy = "Label more pairs with a clear preference, or choose another policy."
    return NothingToTrainOn(detail, field="dataset_id", remedy=remedy)


def _recorded(
    session: Session,
    dataset: Dataset,
    manifest: snapshot.Manifest,
    watermark: uuid.UUID | None,
    key: str,
    counts: dict[str, Any],
    used: Sequence[uuid.UUID],
) -> Snapshot:
    same = select(Snapshot).where(Snapshot.dataset_id == dataset.id, Snapshot.hash == manifest.hash)
    policy = Policy(**manifest.policy)
    known = (row for row in session.scalars(same) if Policy(**row.policy) == policy)
    if found := next(known, None):
        return found
    row = session.scalars(
        insert(Snapshot)
        .values(
            project_id=dataset.project_id,
            dataset_id=dataset.id,
            hash=manifest.hash,
            kind=dataset.kind,
            policy=manifest.policy,
            label_watermark=watermark,
            counts=counts,
            path=key,
        )
        .on_conflict_do_nothing(index_elements=[Snapshot.dataset_id, Snapshot.hash, Snapshot.policy])
        .returning(Snapshot)
    ).first()
    if row is None:  # another request has frozen the same, and committed while the insert waited for it
        return session.scalars(same.where(Snapshot.policy == manifest.policy)).one()
    connection = session.connection().connection.driver_connection
    assert isinstance(connection, psycopg.Connection)  # noqa: S101  (the engine names psycopg)
    with connection.cursor() as cursor, cursor.copy("COPY snapshot_labels (snapshot_id, label_id) FROM STDIN") as copy:
        for label_id in used:
            copy.write_row((row.id, label_id))
    return row


def find(session: Session, project: Project, snapshot_id: uuid.UUID) -> Snapshot:
    """The snapshot, if it is this project's.  Raises NotFound."""
    found = session.get(Snapshot, snapshot_id)
    if found is None or found.project_id != project.id:
        raise NotFound.of("snapshot")
    return found


def page(
    session: Session, project: Project, cursor: str | None, limit: int, dataset_id: uuid.UUID | None
) -> tuple[Sequence[Row[Snapshot, str]], str | None]:
    """Snapshots with the name of their dataset, newest first, and the cursor of the next page."""
    query = (
        select(Snapshot, Dataset.name)
        .join(Dataset, Dataset.id == Snapshot.dataset_id)
        .where(Snapshot.project_id == project.id)
    )
    if dataset_id is not None:
        query = query.where(Snapshot.dataset_id == dataset_id)
    return paging.page_of_rows(session, query, Snapshot.id, cursor, limit)


def labels(session: Session, found: Snapshot, cursor: str | None, limit: int) -> tuple[Sequence[Label], str | None]:
    """The labels that decided the snapshot's examples, oldest first, and the cursor of the next page."""
    query = (
        select(SnapshotLabel, Label)
        .join(Label, Label.id == SnapshotLabel.label_id)
        .where(SnapshotLabel.snapshot_id == found.id)
    )
    rows, following = paging.page_of_rows(session, query, SnapshotLabel.label_id, cursor, limit, oldest_first=True)
    return [label for _, label in rows], following
