"""Evaluations: sized, launched, listed, cancelled, and swept when their worker has died."""

import uuid
from collections.abc import Sequence
from itertools import combinations
from typing import Any, NamedTuple

from sqlalchemy import exists, insert, or_, select
from sqlalchemy.orm import Session

from backend import paging
from backend.accounts.models import User
from backend.checkpoints.models import Checkpoint
from backend.errors import Conflict, Invalid, NotFound
from backend.evaluations import arena, contestants, judging, prompts
from backend.evaluations.models import REMOVED, Evaluation, Match
from backend.evaluations.prompts import Drawn
from backend.evaluations.said import ORDERS
from backend.evaluations.schemas import CheckpointBrief, EvaluationIn, EvaluationOut, SizeOut
from backend.projects.models import Project
from backend.queue import ring
from backend.work import State, finish, request_stop, silent

MOST_MATCHES = 15_000
MOST_ATTEMPTS = 3
TRAINED_ON = "Prompts of the training split may have been trained on; their win rates flatter. Prefer the test split."
TOY = "A toy checkpoint takes part: it only knows the toy world's sentences."
OWN_JUDGE = "The model that judges is one of the contestants; models tend to prefer their own answers."
FEW = "With fewer than 10 prompts the intervals are very wide."


class TooManyMatches(Invalid):
    title = "Too many matches"


class NotStopped(Conflict):
    title = "Not stopped"


class AnswersGone(Conflict):
    title = "Answers gone"


class Checked(NamedTuple):
    """What an evaluation is made of, found to be there."""

    found: list[Checkpoint]
    judge: Checkpoint | None
    drawn: Drawn


def size(session: Session, project: Project, body: EvaluationIn) -> SizeOut:
    """What `body` would take and what is doubtful about it.  Raises as `launch` does."""
    return _size(body, *_checked(session, project, body))


def launch(session: Session, project: Project, user: User, body: EvaluationIn) -> Evaluation:
    """A queued evaluation with all its matches; a worker is told after the commit.

    Raises UnknownCheckpoint, NoPrompts, BadJudge, TooManyMatches.
    """
    found, judge, drawn = _checked(session, project, body)
    sized = _size(body, found, judge, drawn)
    evaluation = Evaluation(
        project_id=project.id,
        name=body.name,
        contestants=[str(checkpoint.id) for checkpoint in found],
        prompts=drawn.source | {"count": len(drawn.prompts)},
        judge=judging.record(body.judge),
        sampling=body.sampling.model_dump(),
        seed=body.seed,
        total=sized.responses + sized.verdicts,
        created_by=user.id,
    )
    session.add(evaluation)
    session.flush()
    session.execute(insert(Match), _matches(evaluation, found, drawn))
    ring(session, "evaluate")
    return evaluation


def _checked(session: Session, project: Project, body: EvaluationIn) -> Checked:
    found = contestants.find_ready(session, project.id, body.contestants, "contestants")
    judge = judging.model(session, project, judging.resolve(body.judge))
    drawn = prompts.draw(session, project, body.prompts, body.seed)
    matches = len(drawn.prompts) * len(found) * (len(found) - 1) // 2
    if matches > MOST_MATCHES:
        raise TooManyMatches(
            f"{len(found)} contestants on {len(drawn.prompts)} prompts make {matches} matches, more than"
            f" {MOST_MATCHES}.",
            field="prompts.limit",
            remedy="Take fewer prompts or fewer contestants.",
        )
    return Checked(found, judge, drawn)


def _size(body: EvaluationIn, found: Sequence[Checkpoint], judge: Checkpoint | None, drawn: Drawn) -> SizeOut:
    asked, count = len(drawn.prompts), len(found)
    matches = asked * count * (count - 1) // 2
    warnings = [
        sentence
        for sentence, holds in (
            (TRAINED_ON, drawn.trained_on),
            (FEW, asked < 10),
            (TOY, any(checkpoint.toy for checkpoint in found)),
            (OWN_JUDGE, judge is not None and judge in found),
        )
        if holds
    ]
    return SizeOut(
        prompts=asked,
        available=drawn.available,
        responses=asked * count,
        matches=matches,
        verdicts=matches * ORDERS if judging.resolve(body.judge).automatic else 0,
        tokens_at_most=asked * count * body.sampling.max_new_tokens,
        warnings=warnings,
    )


def _matches(evaluation: Evaluation, found: Sequence[Checkpoint], drawn: Drawn) -> list[dict[str, Any]]:
    """A row for every pair of contestants on every prompt; the earlier contestant is side a."""
    return [
        {
            "project_id": evaluation.project_id,
            "evaluation_id": evaluation.id,
            "position": position,
            "prompt": prompt.messages,
            "prompt_hash": prompt.hash,
            "category": prompt.category,
            "checkpoint_a": first.id,
            "checkpoint_b": second.id,
            "sampling": evaluation.sampling,
            "seed": evaluation.seed,
            "state": State.running,
        }
        for position, prompt in enumerate(drawn.prompts)
        for first, second in combinations(found, 2)
    ]


def find(session: Session, project: Project, evaluation_id: uuid.UUID, *, lock: bool = False) -> Evaluation:
    """The evaluation, if it is this project's.  Raises NotFound."""
    found = session.get(Evaluation, evaluation_id, with_for_update=lock)
    if found is None or found.project_id != project.id:
        raise NotFound.of("evaluation")
    return found


def page(
    session: Session, project: Project, cursor: str | None, limit: int, checkpoint_id: uuid.UUID | None = None
) -> tuple[Sequence[Evaluation], str | None]:
    """Evaluations, newest first, of one checkpoint when one is named, and the cursor of the next page."""
    query = select(Evaluation).where(Evaluation.project_id == project.id)
    if checkpoint_id is not None:
        query = query.where(Evaluation.contestants.contains([str(checkpoint_id)]))
    return paging.page(session, query, Evaluation.id, cursor, limit)


def out(session: Session, evaluations: Sequence[Evaluation]) -> list[EvaluationOut]:
    """The rows as answers, with the names of contestants and judging models."""
    ids = {uuid.UUID(contestant) for evaluation in evaluations for contestant in evaluation.contestants}
    ids |= {one for evaluation in evaluations if (one := judging.model_id(evaluation.judge))}
    known = contestants.named(session, ids)
    return [_out(evaluation, known) for evaluation in evaluations]


def _out(evaluation: Evaluation, known: dict[uuid.UUID, Checkpoint]) -> EvaluationOut:
    looked_up = {"contestants", "judge_model"}
    columns = {name: getattr(evaluation, name) for name in EvaluationOut.model_fields if name not in looked_up}
    named = [CheckpointBrief.model_validate(known[uuid.UUID(contestant)]) for contestant in evaluation.contestants]
    judge = judging.model_id(evaluation.judge)
    return EvaluationOut(
        **columns, contestants=named, judge_model=CheckpointBrief.model_validate(known[judge]) if judge else None
    )


def resume(session: Session, evaluation: Evaluation) -> Evaluation:
    """Queue an evaluation that failed or was cancelled once more; answers and verdicts that are there stay.

    Raises NotStopped; AnswersGone when a retention rule has deleted answers, which would count as failures.
    """
    if evaluation.state not in (State.failed, State.cancelled):
        raise NotStopped(
            f"This evaluation is {evaluation.state}.", remedy="Only one that failed or was cancelled can go on."
        )
    gone = or_(*(side["error"].astext == REMOVED for side in (Match.response_a, Match.response_b)))
    if session.scalar(select(exists().where(Match.evaluation_id == evaluation.id, gone))):
        raise AnswersGone(
            "A retention rule of the project has deleted its answers.", remedy="Launch a new evaluation like it."
        )
    evaluation.state, evaluation.stop_requested, evaluation.attempts = State.queued, False, 0
    evaluation.reason = evaluation.remedy = evaluation.finished_at = None
    session.flush()
    ring(session, "evaluate")
    return evaluation


def cancel(evaluation: Evaluation) -> Evaluation:
    """Ask the worker to stop; what is answered and judged already is kept.  Raises AlreadyEnded."""
    request_stop(evaluation)
    return evaluation


def sweep(session: Session) -> int:
    """Put right the work of dead workers, and tell how many rows that were.

    An evaluation is queued again, up to three times, and goes on where it stopped; an arena match ends failed.
    """
    rows = silent(session, Evaluation)
    for evaluation in rows:
        if evaluation.stop_requested:
            finish(evaluation, State.cancelled, "Cancelled; its worker had stopped.")
        elif evaluation.attempts >= MOST_ATTEMPTS:
            finish(
                evaluation,
                State.failed,
                f"Its worker died {MOST_ATTEMPTS} times.",
                "The machine may lack memory: use fewer or smaller checkpoints, or shorter answers.",
            )
        else:
            evaluation.state = State.queued
            ring(session, "evaluate")
    return len(rows) + arena.sweep(session)
