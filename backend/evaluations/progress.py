"""What a worker reads and writes of an evaluation, each call in the caller's short transaction."""

import hashlib
import socket
import uuid
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Boolean, Integer, String, case, cast, column, exists, func, or_, select, true, update, values
from sqlalchemy.dialects.postgresql import JSONB, distinct_on, insert
from sqlalchemy.orm import Session

from alignment.formats.canonical import hash_of
from alignment.judges.panel import MEMBER
from backend.checkpoints.models import Checkpoint
from backend.evaluations import contestants, judging, known
from backend.evaluations.models import Evaluation, Match, Source, Verdict
from backend.evaluations.schemas import HarnessIn
from backend.suggestions.models import SuggestionJob
from backend.work import ACTIVE, State, beat, claim, ours

Place = tuple[uuid.UUID, bool]
ANSWERS_AT_ONCE = 500


class Question(NamedTuple):
    """A prompt that a contestant has not answered yet; `key` is that of the answer."""

    position: int
    prompt: list[dict[str, Any]]
    key: str | None


class Unjudged(NamedTuple):
    """A match in one side order that an automatic judge has not decided yet; responses are in match order."""

    match_id: uuid.UUID
    swapped: bool
    prompt: list[dict[str, Any]]
    response_a: dict[str, Any]
    response_b: dict[str, Any]
    expects: dict[str, Any] | None = None

    @property
    def place(self) -> "Place":
        """Which match, in which order."""
        return self.match_id, self.swapped

    def key(self, judge: str) -> str | None:
        """The key of the verdict that `judge` (`known.judge_of`) gives; None without two answers."""
        if "content" not in self.response_a or "content" not in self.response_b:
            return None
        shown = self.response_a["content"], self.response_b["content"]
        return known.verdict_key(judge, hash_of(self.prompt), *(reversed(shown) if self.swapped else shown))


def busy(session: Session) -> bool:
    """Whether this machine has an evaluation, or suggestions of labels, at work; whoever asks next waits until the
    caller has taken some, or has not.

    Two at once would only share the cores, and an arena match needs a process that is free.
    """
    host = socket.gethostname()
    lock = int.from_bytes(hashlib.sha256(f"evaluate {host}".encode()).digest()[:8], signed=True)
    session.execute(select(func.pg_advisory_xact_lock(lock)))
    at_work = (exists().where(table.state.in_(ACTIVE), table.host == host) for table in (Evaluation, SuggestionJob))
    return bool(session.scalar(select(or_(*at_work))))


def take(session: Session) -> Evaluation | None:
    """The next queued evaluation, now this process's; None while this machine is busy."""
    if busy(session):
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


def judge_models(session: Session, evaluation: Evaluation) -> dict[str, Checkpoint]:
    """The checkpoints that the evaluation's judge asks, by the path of the field."""
    asked = judging.asked(evaluation.judge)
    return {path: session.get_one(Checkpoint, checkpoint_id) for path, checkpoint_id in asked.items()}


def unanswered(session: Session, evaluation_id: uuid.UUID, checkpoint_id: uuid.UUID) -> list[Question]:
    """The prompts that the checkpoint has yet to answer, in order."""
    is_a = Match.checkpoint_a == checkpoint_id
    lacks_a = is_a & Match.response_a.is_(None)
    lacks_b = (Match.checkpoint_b == checkpoint_id) & Match.response_b.is_(None)
    query = (
        select(Match.position, Match.prompt, case((is_a, Match.key_a), else_=Match.key_b))
        .where(Match.evaluation_id == evaluation_id, or_(lacks_a, lacks_b))
        .ext(distinct_on(Match.position))
        .order_by(Match.position)
    )
    return [Question(*row) for row in session.execute(query)]


def take_answers(
    session: Session, evaluation_id: uuid.UUID, checkpoint_id: uuid.UUID, questions: Sequence[Question]
) -> list[Question]:
    """Answer what earlier evaluations were answered already; returns the questions that are left."""
    evaluation = beat(session, Evaluation, evaluation_id)
    if not evaluation.reuse:
        return list(questions)
    found = known.answers(session, evaluation.project_id, [one.key for one in questions if one.key])
    taken = {one.position: found[one.key] for one in questions if one.key in found}
    _count(evaluation, answers=_put_answers(session, evaluation, checkpoint_id, taken))
    return [one for one in questions if one.position not in taken]


def store_answers(
    session: Session, evaluation_id: uuid.UUID, checkpoint_id: uuid.UUID, answers: Mapping[int, dict[str, Any]]
) -> Evaluation:
    """Put a checkpoint's answers, by position, into all its matches that lack them."""
    evaluation = beat(session, Evaluation, evaluation_id)
    _put_answers(session, evaluation, checkpoint_id, answers)
    return evaluation


def _put_answers(
    session: Session, evaluation: Evaluation, checkpoint_id: uuid.UUID, answers: Mapping[int, dict[str, Any]]
) -> int:
    """How many prompts got an answer that they lacked. Those answered twice keep their first answer."""
    here = Match.evaluation_id == evaluation.id
    stored: set[int] = set()
    every = list(answers.items())
    for start in range(0, len(every), ANSWERS_AT_ONCE):
        batch = {str(position): answer for position, answer in every[start : start + ANSWERS_AT_ONCE]}
        given = func.jsonb_each(cast(batch, JSONB))
        told = given.table_valued(column("key", String), column("value", JSONB)).render_derived(name="told")
        lacks_a = (Match.checkpoint_a == checkpoint_id) & Match.response_a.is_(None)
        lacks_b = (Match.checkpoint_b == checkpoint_id) & Match.response_b.is_(None)
        filled = {
            Match.response_a: case((lacks_a, told.c.value), else_=Match.response_a),
            Match.response_b: case((lacks_b, told.c.value), else_=Match.response_b),
        }
        lacking = update(Match).where(here, Match.position == cast(told.c.key, Integer), or_(lacks_a, lacks_b))
        stored |= set(session.scalars(lacking.values(filled).returning(Match.position)))
    both = Match.response_a.is_not(None) & Match.response_b.is_not(None)
    ready = update(Match).where(here, Match.position.in_(stored), Match.state != State.succeeded, both)
    session.execute(ready.values(state=State.succeeded))
    evaluation.done += len(stored)
    return len(stored)


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
        select(Match.id, orders.c.swapped, Match.prompt, Match.response_a, Match.response_b, Match.expects)
        .join(orders, true())
        .where(Match.evaluation_id == evaluation_id, Match.state == State.succeeded, ~known)
        .order_by(Match.position, Match.id, orders.c.swapped)
        .limit(limit)
    )
    return [Unjudged(*row) for row in session.execute(query)]


def take_verdicts(session: Session, evaluation_id: uuid.UUID, judge: str, keys: Mapping[Place, str]) -> set[Place]:
    """Decide what earlier evaluations decided already, by `keys`; returns what was."""
    evaluation = beat(session, Evaluation, evaluation_id)
    if not evaluation.reuse:
        return set()
    found = known.verdicts(session, evaluation.project_id, keys.values())
    taken = {place: key for place, key in keys.items() if key in found}
    rows = [
        {"match_id": match_id, "judge": judge, "swapped": swapped, "key": key}
        | known.row_of(found[key], swapped=swapped)
        for (match_id, swapped), key in taken.items()
    ]
    _count(evaluation, verdicts=_put_verdicts(session, evaluation, rows))
    return set(taken)


def said_by_members(
    session: Session, match_ids: Collection[uuid.UUID]
) -> dict[tuple[str, uuid.UUID, bool], tuple[float | None, str | None]]:
    """What the members of a panel said of matches: by member, match and order the probability that `a` wins, or why
    there is none."""
    columns = (Verdict.judge, Verdict.match_id, Verdict.swapped, Verdict.probability, Verdict.reason)
    query = select(*columns).where(Verdict.match_id.in_(match_ids), Verdict.judge.startswith(MEMBER))
    return {(str(row[0]), row[1], row[2]): (row[3], row[4]) for row in session.execute(query)}


def store_verdicts(session: Session, evaluation_id: uuid.UUID, rows: Sequence[dict[str, Any]]) -> Evaluation:
    """Add an automatic judge's verdicts; those that are there already stay as they are."""
    evaluation = beat(session, Evaluation, evaluation_id)
    _put_verdicts(session, evaluation, rows)
    return evaluation


def _put_verdicts(session: Session, evaluation: Evaluation, rows: Sequence[dict[str, Any]]) -> int:
    """How many were added."""
    if not rows:
        return 0
    whole = [{"project_id": evaluation.project_id, "source": Source.judge, **row} for row in rows]
    adding = insert(Verdict).on_conflict_do_nothing().returning(Verdict.id)
    added = len(session.scalars(adding, whole).all())
    evaluation.done += added
    return added


def unmeasured(
    session: Session, evaluation_id: uuid.UUID, checkpoint_id: uuid.UUID
) -> tuple[HarnessIn | None, list[str]]:
    """What the harness is asked, and the tasks on which it has yet to measure a contestant."""
    evaluation = session.get_one(Evaluation, evaluation_id)
    if evaluation.harness is None:
        return None, []
    asked = HarnessIn.model_validate(evaluation.harness)
    known = (evaluation.measured or {}).get(str(checkpoint_id), {})
    return asked, [name for name in asked.tasks if name not in known]


def store_measured(
    session: Session, evaluation_id: uuid.UUID, checkpoint_id: uuid.UUID, found: Mapping[str, Any]
) -> None:
    """Keep what the harness told of a contestant, by task, while the evaluation is ours."""
    evaluation = beat(session, Evaluation, evaluation_id)
    if not ours(evaluation):
        return
    before = evaluation.measured or {}
    own = before.get(str(checkpoint_id), {})
    evaluation.measured = before | {str(checkpoint_id): own | dict(found)}
    evaluation.done += len(found.keys() - own.keys())


def _count(evaluation: Evaluation, **taken: int) -> None:
    """Note what was taken from earlier evaluations."""
    before = evaluation.taken or {}
    evaluation.taken = before | {name: before.get(name, 0) + count for name, count in taken.items()}
