"""Choosing what rules let go: never what something refers to, what is pinned, or what another project uses too."""

import uuid
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Select, func, literal, or_, select
from sqlalchemy.orm import Session, aliased

from alignment.training.kinds import best_of
from backend import storage
from backend.checkpoints.models import Checkpoint, Source
from backend.checkpoints.service import referred_to
from backend.evaluations.models import Battle, Evaluation, Match, MatchItem
from backend.exports.models import Export, Push
from backend.runs.models import Run, RunEvent
from backend.work import ACTIVE, ENDED, State, now

# A run that is lost may be taken up again by the program that trains it elsewhere.
GIVEN_UP = (State.failed, State.cancelled)


def free(checkpoint_id: uuid.UUID | None = None) -> Select[Checkpoint]:
    """Weights of runs that nothing refers to and nobody has pinned; of one checkpoint, whether it is one."""
    other = aliased(Checkpoint)
    # Registered from a folder, the same weights have the path of their place instead of the key.
    names = [Checkpoint.path, *(literal(f"{root}/") + Checkpoint.path for root in storage.roots())]
    shared = select(other.id).where(other.path.in_(names), other.id != Checkpoint.id).exists()
    found = select(Checkpoint).where(
        Checkpoint.source == Source.run,
        Checkpoint.removed_at.is_(None),
        Checkpoint.pinned.is_(False),
        ~referred_to(Checkpoint.id),
        ~shared,
    )
    return found if checkpoint_id is None else found.where(Checkpoint.id == checkpoint_id)


def old_checkpoints(session: Session, project_id: uuid.UUID, last: int) -> Sequence[Checkpoint]:
    """Those of runs that succeeded which are neither among the `last` of their run nor its best, oldest first."""
    there = (
        select(Checkpoint.run_id)
        .join(Run, Run.id == Checkpoint.run_id)
        .where(Checkpoint.project_id == project_id, Run.state == State.succeeded, Checkpoint.removed_at.is_(None))
        .group_by(Checkpoint.run_id)
        .having(func.count() > last)
    )
    runs = session.scalars(there).all()
    found = session.scalars(free().where(Checkpoint.run_id.in_(runs)).order_by(Checkpoint.id)).all()
    kept = _kept(session, runs, last)
    return [checkpoint for checkpoint in found if checkpoint.id not in kept]


def _kept(session: Session, runs: Sequence[uuid.UUID | None], last: int) -> set[uuid.UUID]:
    """The last checkpoints of each run, and the best by the metric of its spec, of those that are still there."""
    rows = session.execute(
        select(Checkpoint.run_id, Checkpoint.id, Checkpoint.step)
        .where(Checkpoint.run_id.in_(runs), Checkpoint.removed_at.is_(None))
        .order_by(Checkpoint.step)
    )
    by_run: dict[uuid.UUID, dict[int, uuid.UUID]] = defaultdict(dict)
    for run_id, checkpoint_id, step in rows:
        if run_id is not None and step is not None:
            by_run[run_id][step] = checkpoint_id
    kept: set[uuid.UUID] = set()
    for run in session.scalars(select(Run).where(Run.id.in_(runs))):
        there = by_run[run.id]
        steps = {*list(there)[-last:], best_step(session, run, set(there))}
        kept |= {there[step] for step in steps if step is not None}
    return kept


def best_step(session: Session, run: Run, there: set[int]) -> int | None:
    """The step, of those that are there, that was best by the metric that the run kept its best by; the later of two
    equal ones, as in training. None when none was measured by it."""
    metric = best_of(run.kind, (run.spec.get("keep") or {}).get("best"))
    if metric is None:
        return None
    told = select(RunEvent.step, RunEvent.payload).where(RunEvent.run_id == run.id, RunEvent.kind == "checkpoint")
    sign = -1 if metric == "eval/loss" else 1
    measured = [
        (sign * value, step)
        for step, payload in session.execute(told)
        if step in there and isinstance(value := _value(payload, metric), int | float)
    ]
    return max(measured)[1] if measured else None


def _value(payload: dict[str, Any], metric: str) -> object:
    metrics = payload.get("metrics")
    return metrics.get(metric) if isinstance(metrics, dict) else None


def of_failed_runs(session: Session, project_id: uuid.UUID, days: int) -> Sequence[Checkpoint]:
    """Those of runs that failed or were cancelled so many days ago."""
    ended = select(Run.id).where(Run.project_id == project_id, Run.state.in_(GIVEN_UP), Run.finished_at < before(days))
    return session.scalars(free().where(Checkpoint.run_id.in_(ended)).order_by(Checkpoint.id)).all()


def states_of_failed_runs(session: Session, project_id: uuid.UUID, days: int) -> Sequence[uuid.UUID]:
    """Runs that failed or were cancelled so many days ago, and could be continued from the storage."""
    ended = Run.project_id == project_id, Run.state.in_(GIVEN_UP), Run.finished_at < before(days)
    there = Run.state_step.is_not(None), Run.state_host.is_(None)
    return session.scalars(select(Run.id).where(*ended, *there).order_by(Run.id)).all()


def old_exports(session: Session, project_id: uuid.UUID, days: int) -> Sequence[Export]:
    """Exports that ended so many days ago and are not being uploaded."""
    uploading = select(Push.id).where(Push.export_id == Export.id, Push.state.in_((State.queued, *ACTIVE))).exists()
    found = select(Export).where(
        Export.project_id == project_id, Export.state.in_(ENDED), Export.finished_at < before(days), ~uploading
    )
    return session.scalars(found.order_by(Export.id)).all()


def old_answers(project_id: uuid.UUID, days: int) -> list[ColumnElement[bool]]:
    """Conditions on matches: those of the arena, and of evaluations that ended without a report, whose answers are so
    old and have become nobody's item."""
    arena = Match.evaluation_id.is_(None) & Match.state.in_(ENDED) & (Match.finished_at < before(days))
    return [
        Match.project_id == project_id,
        or_(arena, Match.evaluation_id.in_(unfinished(project_id, days))),
        or_(Match.response_a.has_key("content"), Match.response_b.has_key("content")),
        ~select(MatchItem.match_id).where(MatchItem.match_id == Match.id).exists(),
    ]


def old_battles(project_id: uuid.UUID, days: int) -> list[ColumnElement[bool]]:
    """Conditions on battles of the arena whose answers are so old: what they became as matches is told apart."""
    ended = Battle.state.in_(ENDED), Battle.finished_at < before(days)
    return [Battle.project_id == project_id, *ended, Battle.answers.is_not(None)]


def unfinished(project_id: uuid.UUID, days: int) -> Select[uuid.UUID]:
    """Evaluations that ended without a report so many days ago."""
    return select(Evaluation.id).where(
        Evaluation.project_id == project_id,
        Evaluation.state.in_((*GIVEN_UP, State.lost)),
        Evaluation.finished_at < before(days),
    )


def before(days: int) -> datetime:
    """The time that lies so many days back."""
    return now() - timedelta(days=days)
