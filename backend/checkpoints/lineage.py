"""Where a checkpoint comes from and what has been done with it: runs, specs, snapshots, parents, evaluations."""

import uuid

from sqlalchemy import select
from sqlalchemy.orm import Session

from backend.checkpoints import service
from backend.checkpoints.models import Checkpoint
from backend.checkpoints.schemas import Ancestor, DataRef, EvaluationRef, LineageOut, RunRef, SnapshotRef
from backend.datasets.models import Dataset, Snapshot
from backend.evaluations.models import Evaluation
from backend.runs import mixture
from backend.runs.models import Run

LONGEST = 1000


def trace(session: Session, checkpoint: Checkpoint) -> LineageOut:
    """The whole history of `checkpoint`."""
    chain: list[Ancestor] = []
    current: Checkpoint | None = checkpoint
    while current is not None and len(chain) < LONGEST:
        run = session.get(Run, current.run_id) if current.run_id else None
        chain.append(
            Ancestor(
                checkpoint=service.out(current),
                run=RunRef.model_validate(run) if run else None,
                snapshot=_snapshot(session, run.snapshot_id) if run else None,
                data=[DataRef.model_validate(one) for one in mixture.shown(session, run.id)] if run else [],
            )
        )
        current = session.get(Checkpoint, current.parent_id) if current.parent_id else None
    children = session.scalars(
        select(Checkpoint).where(Checkpoint.parent_id == checkpoint.id).order_by(Checkpoint.id).limit(LONGEST)
    )
    return LineageOut(
        chain=chain,
        children=[service.out(child) for child in children],
        evaluations=_evaluations(session, checkpoint),
    )


def _snapshot(session: Session, snapshot_id: uuid.UUID) -> SnapshotRef:
    snapshot, name = session.execute(
        select(Snapshot, Dataset.name)
        .join(Dataset, Dataset.id == Snapshot.dataset_id)
        .where(Snapshot.id == snapshot_id)
    ).one()
    return SnapshotRef(
        id=snapshot.id, hash=snapshot.hash, dataset_id=snapshot.dataset_id, dataset=name, counts=snapshot.counts
    )


def _evaluations(session: Session, checkpoint: Checkpoint) -> list[EvaluationRef]:
    found = session.scalars(
        select(Evaluation)
        .where(Evaluation.project_id == checkpoint.project_id, Evaluation.contestants.contains([str(checkpoint.id)]))
        .order_by(Evaluation.id.desc())
        .limit(100)
    )
    return [EvaluationRef.model_validate(evaluation) for evaluation in found]
