"""What a worker reads and writes of an evaluation, each call in the caller's short transaction."""

import hashlib
import socket
import uuid
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Boolean, column, exists, func, or_, select, true, union, update, values
from sqlalchemy.dialects.postgresql import distinct_on, insert
from sqlalchemy.orm import Session

from backend.checkpoints.models import Checkpoint
from backend.evaluations import contestants, judging
from backend.evaluations.models import Evaluation, Match, Source, Verdict
from backend.work import ACTIVE, State, beat, claim


class Question(NamedTuple):
    """A prompt that a contestant has not answered yet."""

    position: int
    prompt: list[dict[str, Any]]


class Unjudged(NamedTuple):
    """A match in one side order that an automatic judge has not decided yet; responses are in match order."""

    match_id: uuid.UUID
    swapped: bool
    prompt: list[dict[str, Any]]
    response_a: dict[str, Any]
    response_b: dict[str, Any]


def take(session: Session) -> Evaluation | None:
    """The next queued evaluation, now this process's; None while this machine has one at work.

    Two at once would only share the cores, and an arena match needs a process that is free.
    """
    host = socket.gethostname()
    lock = int.from_bytes(hashlib.sha256(f"evaluate {host}".encode()).digest()[:8], signed=True)
    session.execute(select(func.pg_advisory_xact_lock(lock)))
    busy = exists().where(Evaluation.state.in_(ACTIVE), Evaluation.host == host)
    if session.scalar(select(busy)):
        return None
    evaluation = claim(session, Evaluation)
    if evaluation is not None:
        evaluation.attempts += 1
    return evaluation


def put_back(evaluation: Evaluation) -> None:
    """Queue the evaluation again; its worker stopped in order, which is no failed attempt."""
    evaluation.state = State.queued
    evaluation.attempts -= 1


def field(session: Session, evaluation: Evaluation) -> list[Checkpoint]:
    """The contestants, in order."""
    ids = [uuid.UUID(contestant) for contestant in evaluation.contestants]
    return contestants.find_all(session, evaluation.project_id, ids, "contestants")


def judge_model(session: Session, evaluation: Evaluation) -> Checkpoint | None:
    """The endpoint that the evaluation's judge asks, if it asks one."""
    checkpoint_id = judging.model_id(evaluation.judge)
    return session.get_one(Checkpoint, checkpoint_id) if checkpoint_id else None


def unanswered(session: Session, evaluation_id: uuid.UUID, checkpoint_id: uuid.UUID) -> list[Question]:
    """The prompts that the checkpoint has yet to answer, in order."""
    lacks_a = (Match.checkpoint_a == checkpoint_id) & Match.response_a.is_(None)
    lacks_b = (Match.checkpoint_b == checkpoint_id) & Match.response_b.is_(None)
    query = (
        select(Match.position, Match.prompt)
        .where(Match.evaluation_id == evaluation_id, or_(lacks_a, lacks_b))
        .ext(distinct_on(Match.position))
        .order_by(Match.position)
    )
    return [Question(*row) for row in session.execute(query)]


def store_answers(
    session: Session, evaluation_id: uuid.UUID, checkpoint_id: uuid.UUID, answers: Mapping[int, dict[str, Any]]
) -> Evaluation:
    """Put a checkpoint's answers, by position, into all its matches."""
    evaluation = beat(session, Evaluation, evaluation_id)
    for position, answer in answers.items():
        for checkpoint, response in (
            (Match.checkpoint_a, Match.response_a),
            (Match.checkpoint_b, Match.response_b),
        ):
            session.execute(
                update(Match)
                .where(Match.evaluation_id == evaluation_id, Match.position == position, checkpoint == checkpoint_id)
                .values({response: answer})
            )
    both = Match.response_a.is_not(None) & Match.response_b.is_not(None)
    ready = update(Match).where(Match.evaluation_id == evaluation_id, Match.state != State.succeeded, both)
    session.execute(ready.values(state=State.succeeded))
    evaluation.done = _done(session, evaluation)
    return evaluation


def unjudged(session: Session, evaluation_id: uuid.UUID, judge: str, limit: int) -> list[Unjudged]:
    """The next matches and side orders that `judge` has not decided, match by match, both orders together."""
    orders = values(column("swapped", Boolean), name="orders").data([(False,), (True,)])
    known = exists().where(
        Verdict.match_id == Match.id,
        Verdict.source == Source.judge,
        Verdict.judge == judge,
        Verdict.swapped == orders.c.swapped,
    )
    query = (
        select(Match.id, orders.c.swapped, Match.prompt, Match.response_a, Match.response_b)
        .join(orders, true())
        .where(Match.evaluation_id == evaluation_id, Match.state == State.succeeded, ~known)
        .order_by(Match.position, Match.id, orders.c.swapped)
        .limit(limit)
    )
    return [Unjudged(*row) for row in session.execute(query)]


def store_verdicts(session: Session, evaluation_id: uuid.UUID, rows: Sequence[dict[str, Any]]) -> Evaluation:
    """Add an automatic judge's verdicts; those that are there already stay as they are."""
    evaluation = beat(session, Evaluation, evaluation_id)
    if rows:
        whole = [{"project_id": evaluation.project_id, "source": Source.judge, **row} for row in rows]
        session.execute(insert(Verdict).on_conflict_do_nothing(), whole)
    evaluation.done = _done(session, evaluation)
    return evaluation


def _done(session: Session, evaluation: Evaluation) -> int:
    """Answers and automatic verdicts that are there."""
    sides = ((Match.checkpoint_a, Match.response_a), (Match.checkpoint_b, Match.response_b))
    here = Match.evaluation_id == evaluation.id
    given = union(*(select(Match.position, side).where(here, response.is_not(None)) for side, response in sides))
    judged = select(func.count()).select_from(Verdict).join(Match).where(here, Verdict.source == Source.judge)
    answers = session.scalar(select(func.count()).select_from(given.subquery())) or 0
    return answers + (session.scalar(judged) or 0)
