"""What a run trains on: one snapshot, or several with weights."""

import uuid
from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import select
from sqlalchemy.orm import Session

from alignment.objectives import Role, feeding
from alignment.training.mixture import shares, weights_of
from backend.datasets import service as datasets
from backend.datasets import snapshots
from backend.datasets.kinds import PURPOSES
from backend.datasets.models import Dataset, Kind, Snapshot
from backend.errors import Invalid
from backend.projects.models import Project
from backend.runs import counts, suited
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
            refuse_unsuited(snapshot.kind, body, field)
        else:
            assert part.dataset_id is not None  # noqa: S101  (an ingredient has exactly one of the two)
            dataset = datasets.find(session, project, part.dataset_id)
            refuse_unsuited(dataset.kind, body, field)
            snapshot = snapshots.freeze(session, dataset, body.policy, settings.snapshots)
        suited.refuse_snapshot(snapshot, body, field)
        refuse_empty(counts.of_snapshot(snapshot, body).train, part.weight, field)
        if any(other.snapshot.hash == snapshot.hash for other in parts):
            raise UnsuitedData("These data are in the mixture already.", field=field, remedy="Name each of them once.")
        parts.append(Part(snapshot, part.weight))
    return parts


def refuse_unsuited(kind: Kind, body: RunIn, field: str) -> None:
    """Raise UnsuitedData where the objective can use nothing of data of a kind, saying what such data is for."""
    objective, apart = body.objective, body.pairs == "apart"
    refusal = feeding.refused(objective.title, objective.needs.roles, kind.value, apart=apart)
    if refusal is None:
        return
    if kind is Kind.paired and apart:
        raise UnsuitedData(refusal.detail, field="pairs", remedy=refusal.remedy)
    raise UnsuitedData(f"It holds {PURPOSES[kind]} {refusal.detail}", field=field, remedy=refusal.remedy)


def together(found: Sequence[counts.Examples], body: RunIn, field: str) -> counts.Examples:
    """What a run takes of all parts.  Raises UnsuitedData where they lack what the objective learns from."""
    roles = frozenset[Role]().union(*(one.roles for one in found))
    train, validation = sum(one.train for one in found), sum(one.validation for one in found)
    refusal = feeding.lacking(body.objective.title, body.objective.needs.roles, roles) if train else None
    if refusal is not None:
        raise UnsuitedData(refusal.detail, field=field, remedy=refusal.remedy)
    return counts.Examples(train, validation, all(one.exact for one in found), roles)


def refuse_empty(train: int, weight: float | None, field: str) -> None:
    """Raise UnsuitedData where a share of the draws would have to come from nothing."""
    if weight is not None and not train:
        raise UnsuitedData("It holds no training examples to draw.", field=field, remedy="Leave it out, or add more.")


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
