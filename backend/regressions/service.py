"""Checks for regressions: asked for, also when a run ends, and concluded when their evaluation has succeeded."""

import uuid
from collections.abc import Sequence
from typing import Any

from sqlalchemy import and_, select
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.orm import Session

from alignment.judges.prompt_checks import PromptChecks
from backend import paging
from backend.accounts.models import User
from backend.checkpoints import service as checkpoints
from backend.checkpoints.models import Checkpoint
from backend.errors import AppError, Invalid, NotFound
from backend.evaluations import contestants, known
from backend.evaluations import service as evaluations
from backend.evaluations.models import Evaluation, Match, Source, Verdict
from backend.evaluations.schemas import CheckpointBrief, EvaluationIn, PromptsIn
from backend.projects.models import Project
from backend.regressions import comparing
from backend.regressions.comparing import Checked
from backend.regressions.models import Regression
from backend.regressions.schemas import GuardIn, RegressionBrief, RegressionFound, RegressionIn, RegressionOut
from backend.runs.models import Run, RunEvent
from backend.webhooks import outbox

TOLD = "run.checked"


class NoCheckpointLeft(Invalid):
    title = "No checkpoint left"


class SameCheckpoint(Invalid):
    title = "Same checkpoint"


class NotOfThisRun(Invalid):
    title = "Not of this run"


def request(session: Session, project: Project, user: User, run: Run, body: RegressionIn) -> Regression:
    """A check whose evaluation is queued.

    Raises NoCheckpointLeft, NotOfThisRun, SameCheckpoint, NotFound, WeightsGone, WritesNothing, TemplateMissing,
    NoPrompts, NoHarness, TooManyMatches.
    """
    checkpoint = _checkpoint(session, project, run, body.checkpoint_id)
    base = checkpoints.present(session, project, body.base_id or run.reference_id or run.checkpoint_id, "base_id")
    checkpoints.require_ready(base, "base_id")
    if known.who(base) == known.who(checkpoint):
        raise SameCheckpoint(
            f"“{base.name}” would be compared with itself, and finds no change.",
            field="base_id",
            remedy="Choose what the run started from, or another base.",
        )
    asked = EvaluationIn(
        name=f"Regressions of {run.name}"[:120].rstrip(),
        pairing="baseline",
        contestants=[base.id, checkpoint.id],
        prompts=PromptsIn(texts=[]) if body.categories is None else PromptsIn(checks=body.categories),
        judge={"name": PromptChecks.name},
        sampling=body.sampling,
        seed=body.seed,
        harness=body.harness,
    )
    evaluation = evaluations.launch(session, project, user, asked)
    row = Regression(
        project_id=project.id, run_id=run.id, evaluation_id=evaluation.id, margin=body.margin, level=body.level,
        created_by=user.id,
    )  # fmt: skip
    session.add(row)
    session.flush()
    return row


def _checkpoint(session: Session, project: Project, run: Run, named: uuid.UUID | None) -> Checkpoint:
    """The one named, else the run's last that can answer.  Raises NotOfThisRun, NoCheckpointLeft, and what
    `checkpoints.require_ready` does."""
    if named is not None:
        found = checkpoints.present(session, project, named, "checkpoint_id")
        if found.run_id != run.id:
            raise NotOfThisRun(
                f"“{found.name}” was not made by this run.", field="checkpoint_id", remedy="Choose one that was."
            )
        checkpoints.require_ready(found, "checkpoint_id")
        return found
    made = session.scalars(
        select(Checkpoint)
        .where(Checkpoint.run_id == run.id, Checkpoint.removed_at.is_(None))
        .order_by(Checkpoint.step.desc(), Checkpoint.id.desc())
    ).all()
    if not made:
        raise NoCheckpointLeft(
            f"“{run.name}” has no checkpoint that could be compared.",
            field="checkpoint_id",
            remedy="Wait until it has saved one, or choose another run.",
        )
    checkpoints.require_ready(made[0], "checkpoint_id")
    return made[0]


def when_ended(session: Session, run: Run) -> None:
    """Begin the check that was asked for at the launch of a run that has succeeded; its log says what came of it."""
    if run.guard is None:
        return
    user = session.get(User, run.created_by) if run.created_by else None
    project = session.get_one(Project, run.project_id)
    level, message = "info", "The check for regressions has begun."
    try:
        if user is None:
            raise NotFound("Whoever launched the run is not here any more.")
        with session.begin_nested():
            request(session, project, user, run, RegressionIn.model_validate(run.guard))
    except AppError as error:
        level, message = "warning", f"The check for regressions could not begin. {error.detail} {error.remedy or ''}"
    session.add(RunEvent(run_id=run.id, kind="log", payload={"level": level, "message": message.strip()}))


def conclude(session: Session, evaluation: Evaluation) -> None:
    """Store what an evaluation that has just succeeded says of its run, and tell of it; nothing if it is no check."""
    row = session.scalars(select(Regression).where(Regression.evaluation_id == evaluation.id).with_for_update()).first()
    if row is None:
        return
    measured = evaluation.measured or {}
    found = comparing.found(
        _checked(session, evaluation),
        [measured[one] for one in evaluation.contestants if one in measured],
        margin=row.margin, level=row.level, seed=evaluation.seed,
    )  # fmt: skip
    row.result, row.mark = found.model_dump(mode="json"), found.mark
    kind = "alarm" if found.mark == "worse" else "log"
    message = f"Checked for regressions: {found.summary}"
    payload = {"level": "info", "message": message, "regression_id": str(row.id)}
    session.add(RunEvent(run_id=row.run_id, kind=kind, payload=payload))
    told = {"id": str(row.run_id), "regression_id": str(row.id), "mark": found.mark}
    worse = [part.name for part in found.parts if part.kind == "task" and part.mark == "worse"]
    counts = {"worse": sum(part.mark == "worse" for part in found.parts), "parts": len(found.parts)}
    outbox.tell(session, row.project_id, TOLD, told | counts | {"worse_tasks": worse})


def _checked(session: Session, evaluation: Evaluation) -> list[Checked]:
    own = and_(
        Verdict.match_id == Match.id, Verdict.source == Source.judge, Verdict.judge == PromptChecks.name,
        Verdict.swapped.is_(False),
    )  # fmt: skip
    query = (
        select(Match.prompt_hash, Match.category, Match.expects, Verdict.scores, Verdict.reason)
        .outerjoin(Verdict, own)
        .where(Match.evaluation_id == evaluation.id)
        .order_by(Match.position)
    )
    return [
        Checked(
            prompt, category or "", bool(expects["rules"] or expects["checks"]), expects["refuse"], scores,
            reason,
        )
        for prompt, category, expects, scores, reason in session.execute(query)
    ]  # fmt: skip


def page(session: Session, run: Run, cursor: str | None, limit: int) -> Any:
    """The checks of a run, newest first, and the cursor of the next page."""
    return paging.page(session, select(Regression).where(Regression.run_id == run.id), Regression.id, cursor, limit)


def find(session: Session, project: Project, regression_id: uuid.UUID) -> Regression:
    """Raises NotFound."""
    row = session.get(Regression, regression_id)
    if row is None or row.project_id != project.id:
        raise NotFound.of("check for regressions")
    return row


def newest(session: Session, runs: Sequence[uuid.UUID]) -> dict[uuid.UUID, RegressionBrief]:
    """The newest check of each run that has one."""
    query = (
        select(Regression, Evaluation.state)
        .join(Evaluation, Evaluation.id == Regression.evaluation_id)
        .where(Regression.run_id.in_(runs))
        .ext(distinct_on(Regression.run_id))
        .order_by(Regression.run_id, Regression.id.desc())
    )
    return {
        row.run_id: RegressionBrief(
            id=row.id, evaluation_id=row.evaluation_id, state=state, mark=row.mark,
            summary=row.result["summary"] if row.result else None,
        )
        for row, state in session.execute(query)
    }  # fmt: skip


def out(session: Session, rows: Sequence[Regression]) -> list[RegressionOut]:
    """The rows as answers, with what their evaluations say."""
    ids = [row.evaluation_id for row in rows]
    found = {one.id: one for one in session.scalars(select(Evaluation).where(Evaluation.id.in_(ids)))}
    sides = {uuid.UUID(one) for evaluation in found.values() for one in evaluation.contestants}
    names = contestants.named(session, sides)
    return [_out(row, found[row.evaluation_id], names) for row in rows]


def _out(row: Regression, evaluation: Evaluation, names: dict[uuid.UUID, Checkpoint]) -> RegressionOut:
    base, checkpoint = (
        CheckpointBrief.model_validate(names[one]) if one in names else None
        for one in map(uuid.UUID, evaluation.contestants)
    )
    own = ("id", "created_at", "run_id", "evaluation_id", "margin", "level", "mark")
    theirs = ("state", "reason", "remedy", "stop_requested", "done", "total", "finished_at")
    return RegressionOut(
        **{name: getattr(row, name) for name in own},
        **{name: getattr(evaluation, name) for name in theirs},
        base=base,
        checkpoint=checkpoint,
        result=RegressionFound.model_validate(row.result) if row.result else None,
    )


def guard(body: GuardIn | None) -> dict[str, Any] | None:
    """What a run keeps of the check that it is to begin when it ends."""
    return body.model_dump(mode="json") if body else None
