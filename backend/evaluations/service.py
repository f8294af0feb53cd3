"""Evaluations: sized, launched, listed, cancelled, and swept when their worker has died."""

import uuid
from collections.abc import Sequence
from typing import Any

from sqlalchemy import exists, insert, or_, select
from sqlalchemy.orm import Session

from alignment.judges import Judge
from alignment.judges.prompt_checks import PromptChecks
from alignment.sampling import Sampling
from backend import paging
from backend.accounts.models import User
from backend.checkpoints.models import Checkpoint
from backend.db import look_again
from backend.errors import Conflict, Invalid, NotFound
from backend.evaluations import arena, contamination, contestants, harness, judging, known, outputs, prompts, sizing
from backend.evaluations.asked import models as models_of
from backend.evaluations.asked import settled
from backend.evaluations.models import REMOVED, Evaluation, Match
from backend.evaluations.schemas import CheckpointBrief, EvaluationIn, EvaluationOut, LimitsIn, SizeOut
from backend.evaluations.sizing import Checked
from backend.projects.models import Project
from backend.queue import ring
from backend.work import State, request_stop, retry_silent

MOST_MATCHES = 15_000
MOST_ATTEMPTS = 3


class TooManyMatches(Invalid):
    title = "Too many matches"


class NotStopped(Conflict):
    title = "Not stopped"


class AnswersGone(Conflict):
    title = "Answers gone"


def size(session: Session, project: Project, body: EvaluationIn) -> SizeOut:
    """What `body` would take and what is doubtful about it.  Raises as `launch` does."""
    return sizing.measure(session, project, body, _checked(session, project, body))


def launch(session: Session, project: Project, user: User, body: EvaluationIn) -> Evaluation:
    """A queued evaluation with all its matches; a worker is told after the commit.

    Raises UnknownCheckpoint, NotFound, NoPrompts, BadJudge, TooManyMatches, NoPrice, NoHarness.
    """
    checked = _checked(session, project, body)
    evaluation = Evaluation(
        project_id=project.id,
        name=body.name,
        contestants=[str(checkpoint.id) for checkpoint in checked.found],
        prompts=checked.drawn.source | {"count": len(checked.drawn.prompts)},
        judge=checked.judge.model_dump(mode="json"),
        sampling=body.sampling.model_dump(),
        seed=body.seed,
        pairing=checked.pairing,
        reuse=body.reuse,
        limits=body.limits.model_dump() if body.limits else None,
        harness=body.harness.model_dump() if body.harness else None,
        done=len(checked.given),
        total=checked.responses + checked.verdicts + harness.units(body.harness, checked.found),
        created_by=user.id,
    )
    session.add(evaluation)
    session.flush()
    if checked.drawn.prompts:
        session.execute(insert(Match), _matches(evaluation, checked))
        look_again(session, checked.matches, Match)
        contamination.begin(session, evaluation)
    ring(session, "evaluate")
    return evaluation


def _checked(session: Session, project: Project, body: EvaluationIn) -> Checked:
    ids, pairing = contestants.wanted(session, project, body)
    found = outputs.taking_part(session, project.id, ids)
    judge = settled(session, project, judging.resolve(body.judge))
    models = models_of(session, project, judge)
    drawn = prompts.draw(session, project, body.prompts, body.seed, empty=body.harness is not None)
    if drawn.prompts:
        _refuse_without_checks(judge, body)
    if body.harness is not None:
        harness.require(body.harness, found)
    checked = Checked(found, judge, models, drawn, pairing, outputs.given(session, found, drawn.prompts))
    if checked.matches > MOST_MATCHES:
        raise TooManyMatches(
            f"{len(found)} contestants on {len(drawn.prompts)} prompts make {checked.matches} matches, more than"
            f" {MOST_MATCHES}.",
            field="prompts.limit",
            remedy="Take fewer prompts or fewer contestants.",
        )
    sizing.require_prices(checked, body.limits)
    return checked


def _refuse_without_checks(judge: Judge, body: EvaluationIn) -> None:
    """Raise BadJudge where prompts come without the checks that would decide."""
    if isinstance(judge, PromptChecks) and body.prompts.checks is None:
        raise judging.BadJudge(
            "Only prompt checks say what their answers must keep.",
            field="judge.name",
            remedy="Take prompts.checks, or another judge.",
        )


def _matches(evaluation: Evaluation, checked: Checked) -> list[dict[str, Any]]:
    """A row for every pair of contestants that meet, on every prompt; the earlier contestant is side a."""
    given, drawn = checked.given, checked.drawn
    keys = _keys(checked, Sampling(**evaluation.sampling, seed=evaluation.seed))
    return [
        {
            "project_id": evaluation.project_id,
            "evaluation_id": evaluation.id,
            "position": position,
            "prompt": prompt.messages,
            "prompt_hash": prompt.hash,
            "category": prompt.category,
            "expects": prompt.expects,
            "checkpoint_a": first.id,
            "checkpoint_b": second.id,
            "response_a": given.get((first.id, prompt.hash)),
            "response_b": given.get((second.id, prompt.hash)),
            "key_a": keys.get((first.id, prompt.hash)),
            "key_b": keys.get((second.id, prompt.hash)),
            "sampling": evaluation.sampling,
            "seed": evaluation.seed,
            "state": State.succeeded
            if {(one.id, prompt.hash) for one in (first, second)} <= given.keys()
            else State.running,
        }
        for position, prompt in enumerate(drawn.prompts)
        for first, second in sizing.meetings(checked.found, evaluation.pairing)
    ]


def _keys(checked: Checked, sampling: Sampling) -> dict[tuple[uuid.UUID, str], str]:
    """The key of each answer that is asked for."""
    return {
        (one.id, prompt.hash): known.answer_key(one, prompt.hash, sampling)
        for one in checked.found
        for prompt in checked.drawn.prompts
        if (one.id, prompt.hash) not in checked.given
    }


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
    ids |= {one for evaluation in evaluations for one in judging.asked(evaluation.judge).values()}
    known = contestants.named(session, ids)
    return [_out(evaluation, known) for evaluation in evaluations]


def _out(evaluation: Evaluation, known: dict[uuid.UUID, Checkpoint]) -> EvaluationOut:
    looked_up = {"contestants", "judge_model", "judge_models"}
    columns = {name: getattr(evaluation, name) for name in EvaluationOut.model_fields if name not in looked_up}
    named = [CheckpointBrief.model_validate(known[uuid.UUID(contestant)]) for contestant in evaluation.contestants]
    asks = judging.asked(evaluation.judge)
    models = {path: CheckpointBrief.model_validate(known[one]) for path, one in asks.items() if one in known}
    judge = models.get("checkpoint") if judging.model_id(evaluation.judge) else None
    return EvaluationOut(**columns, contestants=named, judge_model=judge, judge_models=models)


def resume(session: Session, evaluation: Evaluation, limits: LimitsIn | None = None) -> Evaluation:
    """Queue an evaluation that failed or was cancelled once more; answers and verdicts that are there stay.

    `limits` replace the old ones.  Raises NotStopped; NoPrice; AnswersGone when a retention rule has deleted answers,
    which would count as failures.
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
    if limits is not None:
        sizing.refuse_unpriced(asked(session, evaluation), limits)
        evaluation.limits = limits.model_dump()
    evaluation.state, evaluation.stop_requested, evaluation.attempts = State.queued, False, 0
    evaluation.reason = evaluation.remedy = evaluation.finished_at = None
    session.flush()
    ring(session, "evaluate")
    return evaluation


def asked(session: Session, evaluation: Evaluation) -> list[Checkpoint]:
    """The checkpoints that the evaluation asks: its contestants, and the models that judge."""
    ids = [uuid.UUID(one) for one in evaluation.contestants]
    return list(contestants.named(session, [*ids, *judging.asked(evaluation.judge).values()]).values())


def cancel(evaluation: Evaluation) -> Evaluation:
    """Ask the worker to stop; what is answered and judged already is kept.  Raises AlreadyEnded."""
    request_stop(evaluation)
    return evaluation


def sweep(session: Session) -> int:
    """Put right the work of dead workers, and tell how many rows that were.

    An evaluation is queued again, up to three times, and goes on where it stopped; a battle of the arena ends failed.
    """
    remedy = "The machine may lack memory: use fewer or smaller checkpoints, or shorter answers."
    return len(retry_silent(session, Evaluation, "evaluate", MOST_ATTEMPTS, remedy)) + arena.sweep(session)
