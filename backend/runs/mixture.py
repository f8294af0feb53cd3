"""What a run trains on: one snapshot, or several with weights."""

import uuid
from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import select
from sqlalchemy.orm import Session

from alignment.training.mixture import shares, weights_of
from backend.datasets import service as datasets
from backend.datasets import snapshots
from backend.datasets.kinds import PURPOSES, instead
from backend.datasets.models import Dataset, Kind, Snapshot
from backend.errors import Invalid
from backend.projects.models import Project
from backend.runs import suited
from backend.runs.models import RunSnapshot
from backend.runs.schemas import MixedOut, RunIn
from backend.settings import Settings


class UnsuitedData(Invalid):
    title = "Unsuited data"


class Part(NamedTuple):
    """A snapshot and its weight."""

    snapshot: Snapshot
    weight: float | None


def freeze(session: Session, project: Project, body: RunIn, settings: Settings) -> list[Part]:
    """The snapshots of a run's data, datasets frozen.

    Raises NotFound, UnsuitedData, UnfitExample, NothingToTrainOn, NoSpace.
    """
    if body.mixture is not None and body.where == "report":
        raise UnsuitedData(
            "A run that is trained elsewhere takes one snapshot.", field="mixture", remedy="Choose one dataset."
        )
    parts: list[Part] = []
    for field, part in body.ingredients():
        if part.snapshot_id is not None:
            snapshot = snapshots.find(session, project, part.snapshot_id)
        else:
            assert part.dataset_id is not None  # noqa: S101  (an ingredient has exactly one of the two)
            dataset = datasets.find(session, project, part.dataset_id)
            snapshot = snapshots.freeze(session, dataset, body.policy, settings.snapshots)
        refuse_unsuited(snapshot.kind, field)
        refuse_empty(snapshot.counts.get("train", 0), part.weight, field)
        suited.refuse_snapshot(snapshot, body.objective, field)
        if any(other.snapshot.hash == snapshot.hash for other in parts):
            raise UnsuitedData("These data are in the mixture already.", field=field, remedy="Name each of them once.")
        parts.append(Part(snapshot, part.weight))
    return parts


def refuse_unsuited(kind: Kind, field: str) -> None:
    """Raise UnsuitedData for anything but pairs, saying what such data is for."""
    if kind is not Kind.paired:
        raise UnsuitedData(f"It holds {PURPOSES[kind]}", field=field, remedy=instead(kind))


def refuse_empty(train: int, weight: float | None, field: str) -> None:
    """Raise UnsuitedData where a share of the draws would have to come from nothing."""
    if weight is not None and not train:
        raise UnsuitedData("It holds no training pairs to draw.", field=field, remedy="Leave it out, or label more.")


def keep(session: Session, run_id: uuid.UUID, parts: Sequence[Part]) -> None:
    """Record what a run trains on."""
    session.add_all(
        RunSnapshot(run_id=run_id, position=place, snapshot_id=part.snapshot.id, weight=part.weight)
        for place, part in enumerate(parts)
    )
    session.flush()


def of(session: Session, run_id: uuid.UUID) -> list[Part]:
    """What a run trains on, in order."""
    query = (
        select(Snapshot, RunSnapshot.weight)
        .join(RunSnapshot, RunSnapshot.snapshot_id == Snapshot.id)
        .where(RunSnapshot.run_id == run_id)
        .order_by(RunSnapshot.position)
    )
    return [Part(row[0], row[1]) for row in session.execute(query)]


def shown(session: Session, run_id: uuid.UUID) -> list[MixedOut]:
    """The same as people see it, with names and shares."""
    parts = of(session, run_id)
    ids = {part.snapshot.dataset_id for part in parts}
    names: dict[uuid.UUID, str] = dict(
        session.execute(select(Dataset.id, Dataset.name).where(Dataset.id.in_(ids))).all()
    )
    weights = weights_of([part.weight for part in parts])
    told = shares(weights) if weights else [None] * len(parts)
    return [
        MixedOut(
            snapshot_id=part.snapshot.id,
            hash=part.snapshot.hash,
            dataset_id=part.snapshot.dataset_id,
            dataset=names[part.snapshot.dataset_id],
            train=part.snapshot.counts.get("train", 0),
            weight=part.weight,
            share=share,
        )
        for part, share in zip(parts, told, strict=True)
    ]
