"""Runs as people see them: rows of the list, and one run whole."""

import uuid
from collections.abc import Sequence

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from backend.checkpoints.models import Checkpoint
from backend.datasets.models import Dataset, Snapshot
from backend.regressions import service as regressions
from backend.runs import mixture, readings, service, spec, thirds
from backend.runs.models import Place, Run
from backend.runs.schemas import RunDetail, RunOut, RunRow
from backend.work import State

SPARK_POINTS = 64
SPARK_METRIC = "loss"
KEY_METRICS = (
    "loss", "rewards/accuracies", "rewards/margins", "eval/rewards/accuracies", "eval/loss",
    "mean_token_accuracy", "eval/mean_token_accuracy", "accuracy", "eval/accuracy",
)  # fmt: skip


def rows(session: Session, runs: Sequence[Run]) -> list[RunRow]:
    """Runs with what a table shows of other rows."""
    ids = [run.id for run in runs]
    bases = {base.id: base for base in session.scalars(_bases(runs))}
    data = {found.Snapshot.id: found for found in session.execute(_data(runs))}
    metrics = readings.latest(session, ids, KEY_METRICS)
    lines = readings.sparkline(session, ids, SPARK_METRIC, SPARK_POINTS)
    checked = regressions.newest(session, ids)
    waiting = _positions(session) if any(run.state == State.queued for run in runs) else {}
    return [
        RunRow(
            **RunOut.model_validate(run).model_dump(),
            position=waiting.get(run.id),
            checkpoint=bases[run.checkpoint_id].name,
            checkpoint_toy=bases[run.checkpoint_id].toy,
            dataset_id=data[run.snapshot_id].Snapshot.dataset_id,
            dataset=data[run.snapshot_id].name,
            regression=checked.get(run.id),
            metrics=metrics.get(run.id, {}),
            sparkline=lines[run.id],
        )
        for run in runs
    ]


def detail(session: Session, run: Run) -> RunDetail:
    """One run with its spec and its products."""
    row = rows(session, [run])[0]
    made = session.scalars(
        select(Checkpoint.id).where(Checkpoint.run_id == run.id).order_by(Checkpoint.step, Checkpoint.id)
    )
    return RunDetail(
        **row.model_dump(),
        data=mixture.shown(session, run.id),
        spec=run.spec,
        yaml=spec.to_yaml(service.materials(session, run).shown()),
        snapshot_hash=session.get_one(Snapshot, run.snapshot_id).hash,
        reference_id=run.reference_id,
        third_ids={name: found.id for name, found in thirds.of(session, run.id).items()},
        events_offset=run.events_offset,
        checkpoints=list(made),
        guard=run.guard,
    )


def _bases(runs: Sequence[Run]) -> Select[Checkpoint]:
    return select(Checkpoint).where(Checkpoint.id.in_({run.checkpoint_id for run in runs}))


def _data(runs: Sequence[Run]) -> Select[Snapshot, str]:
    wanted = {run.snapshot_id for run in runs}
    return (
        select(Snapshot, Dataset.name).join(Dataset, Dataset.id == Snapshot.dataset_id).where(Snapshot.id.in_(wanted))
    )


def _positions(session: Session) -> dict[uuid.UUID, int]:
    """The place of every queued run, from 1."""
    place = func.row_number().over(order_by=Run.id)
    return {
        row[0]: row[1]
        for row in session.execute(select(Run.id, place).where(Run.state == State.queued, Run.place == Place.worker))
    }
