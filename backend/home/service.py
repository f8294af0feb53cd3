"""Reads the loop's numbers; every query is bounded by an index or by the number of datasets."""

import os
import uuid
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import psutil
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from alignment.training.kinds import LOSSES
from backend.accounts.models import Role, User
from backend.checkpoints.models import Checkpoint, Source
from backend.datasets.models import Dataset
from backend.evaluations.models import Evaluation, Verdict
from backend.evaluations.models import Source as VerdictSource
from backend.home import win_rates
from backend.home.schemas import (
    EvaluationsOut,
    HomeOut,
    LabellingOut,
    MachineOut,
    ResumeLine,
    RunLine,
    RunsOut,
)
from backend.labels import queries
from backend.labels.schemas import DatasetProgress
from backend.runs.models import Run
from backend.work import ACTIVE, State

SHOWN = 3


class Visitor(NamedTuple):
    """Who opens Home, as what and in which project, and when their day began."""

    user: User
    role: Role
    project_id: uuid.UUID
    midnight: datetime


def read(session: Session, visitor: Visitor) -> HomeOut:
    """The whole page; an annotator's holds what annotators work with."""
    project_id = visitor.project_id
    progress = queries.progress(session, visitor.user.id, visitor.midnight, project_id=project_id, dataset_id=None)
    research = visitor.role != Role.annotator
    runs = _runs(session, project_id) if research else None
    return HomeOut(
        datasets=_count(session, Dataset, Dataset.project_id == project_id),
        labelling=_labelling(progress),
        checkpoints=_count(session, Checkpoint, Checkpoint.project_id == project_id) if research else None,
        trained_checkpoints=(
            _count(session, Checkpoint, Checkpoint.project_id == project_id, Checkpoint.source == Source.run)
            if research
            else None
        ),
        runs=runs,
        evaluations=_evaluations(session, project_id) if research else None,
        votes=_count(session, Verdict, Verdict.project_id == project_id, Verdict.source == VerdictSource.person),
        resume=_resume(session, visitor, progress),
        machine=_machine() if research else None,
    )


def _count(session: Session, table: type, *where: object) -> int:
    return session.scalar(select(func.count()).select_from(table).where(*where)) or 0  # type: ignore[arg-type]


def _labelling(progress: list[DatasetProgress]) -> LabellingOut:
    following = _next(progress)
    return LabellingOut(
        pairs=sum(one.progress.total for one in progress),
        labelled=sum(one.progress.labelled for one in progress),
        left=sum(_unlabelled(one) for one in progress),
        by_you=sum(one.progress.by_you for one in progress),
        today=max((one.progress.today for one in progress), default=0),
        next_dataset_id=following.dataset_id if following else None,
        next_dataset=following.name if following else None,
    )


def _next(progress: list[DatasetProgress]) -> DatasetProgress | None:
    """The dataset that the person has begun and not finished, else the newest with pairs that nothing has labelled."""
    begun = (one for one in progress if one.progress.left and one.progress.by_you)
    return next(begun, None) or next((one for one in progress if _unlabelled(one)), None)


def _unlabelled(one: DatasetProgress) -> int:
    """Pairs that wait for a first label: what an import brought with labels may be judged too, but asks for nobody."""
    return max(0, one.progress.left - one.progress.imported)


def _runs(session: Session, project_id: uuid.UUID) -> RunsOut:
    own = Run.project_id == project_id
    counts = dict(session.execute(select(Run.state, func.count()).where(own).group_by(Run.state)).all())
    active = session.scalars(select(Run).where(own, Run.state.in_(ACTIVE)).order_by(Run.id.desc()).limit(SHOWN))
    newest = session.scalars(select(Run).where(own).order_by(Run.id.desc()).limit(1)).first()
    return RunsOut(
        waiting=counts.get(State.queued, 0),
        succeeded=counts.get(State.succeeded, 0),
        failed=counts.get(State.failed, 0) + counts.get(State.lost, 0),
        active=[_line(run) for run in active],
        newest=_line(newest) if newest else None,
    )


def _line(run: Run) -> RunLine:
    return RunLine.model_validate(run, from_attributes=True)


def _evaluations(session: Session, project_id: uuid.UUID) -> EvaluationsOut:
    own = Evaluation.project_id == project_id
    newest = session.scalars(
        select(Evaluation).where(own, Evaluation.state == State.succeeded).order_by(Evaluation.id.desc()).limit(SHOWN)
    )
    return EvaluationsOut(
        active=_count(session, Evaluation, own, Evaluation.state.in_((State.queued, *ACTIVE))),
        succeeded=_count(session, Evaluation, own, Evaluation.state == State.succeeded),
        newest=[line for one in newest if (line := win_rates.best(session, one)) is not None],
    )


def _resume(session: Session, visitor: Visitor, progress: list[DatasetProgress]) -> list[ResumeLine]:
    lines: list[ResumeLine] = []
    following = _next(progress)
    if following is not None:
        left = f"{following.progress.left} pairs left"
        address = f"/label?dataset={following.dataset_id}"
        lines.append(ResumeLine(kind="label", title=following.name, detail=left, address=address, at=None))
    if visitor.role == Role.annotator:
        return lines
    own = Run.created_by == visitor.user.id, Run.project_id == visitor.project_id
    for run in session.scalars(select(Run).where(*own).order_by(Run.id.desc()).limit(2)):
        at = run.finished_at or run.started_at or run.created_at
        detail = f"{LOSSES[run.objective].title if run.objective in LOSSES else run.objective}, {run.state}"
        lines.append(ResumeLine(kind="run", title=run.name, detail=detail, address=f"/run?id={run.id}", at=at))
    mine = Evaluation.created_by == visitor.user.id, Evaluation.project_id == visitor.project_id
    for one in session.scalars(select(Evaluation).where(*mine).order_by(Evaluation.id.desc()).limit(1)):
        address, at = f"/evaluation?id={one.id}", one.finished_at or one.created_at
        lines.append(ResumeLine(kind="evaluation", title=one.name, detail=str(one.state), address=address, at=at))
    return lines


def _machine() -> MachineOut:
    # The driver's device file, not CUDA itself: asking CUDA would take GPU memory in the web process.
    gpu = Path("/dev/nvidiactl").exists()
    return MachineOut(gpu=gpu, cores=os.cpu_count() or 1, memory_bytes=psutil.virtual_memory().total)
