"""What a worker reads and writes of the work that suggests labels, each call in the caller's short transaction."""

import uuid
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Select, delete, func, insert, select
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.orm import Session

from alignment.judges.judge import Judge, Verdict
from alignment.judges.scored import Scored
from backend.checkpoints.models import Checkpoint
from backend.datasets.models import Item
from backend.evaluations import judging, known
from backend.evaluations import progress as evaluations
from backend.suggestions import answering, service
from backend.suggestions.answering import Answer
from backend.suggestions.models import SuggestionJob, SuggestionScore, SuggestionVerdict
from backend.suggestions.schemas import MOST, SuggestionIn, SuggestionsIn
from backend.tasks import places
from backend.tasks.ending import ended
from backend.tasks.models import Place, Task
from backend.tasks.schemas import Question
from backend.work import beat, claim, ours


class Taken(NamedTuple):
    """A job in hand: who suggests, the checkpoints that it asks by the path of the field, and what is asked.

    `paid` is what the keys of its verdicts begin with, where those are worth keeping.
    """

    row: SuggestionJob
    judge: Judge
    paid: str | None
    models: Mapping[str, Checkpoint]
    question: Question

    @property
    def id(self) -> uuid.UUID:
        return self.row.id


class Waiting(NamedTuple):
    """An item that nothing was suggested for yet."""

    id: uuid.UUID
    position: int
    prompt: list[dict[str, Any]]
    responses: list[dict[str, Any]]


class TakenAway(Exception):
    """The job was swept meanwhile: it has ended, or another worker has it in hand."""


Found = Answer | float | str
"""What is suggested for an item; the score of a single response, or why there is nothing."""


def take(session: Session) -> Taken | None:
    """The next queued job, now this process's; None while this machine has one, or an evaluation, at work."""
    if evaluations.busy(session):
        return None
    row = claim(session, SuggestionJob)
    if row is None:
        return None
    row.attempts += 1
    question = Question.model_validate(session.get_one(Task, row.task_id).question)
    judge = judging.resolve(row.judge)
    models = {path: session.get_one(Checkpoint, one.checkpoint) for path, one in judge.asks.items()}
    return Taken(row, judge, known.paid(session, judge), models, question)


def begin(session: Session, job_id: uuid.UUID) -> None:
    """Afterwards the job tells how many items there are; those that are new since the last card was dealt, too.

    Raises TakenAway.
    """
    read = session.get_one(SuggestionJob, job_id)
    task = session.get_one(Task, read.task_id)
    places.fill(session, task)
    left = session.scalar(select(func.count()).select_from(open_items(task, read.at).subquery()))
    row = _locked(session, job_id)
    row.total = row.done + (left or 0)


def open_items(task: Task, at: int = 0) -> Select[uuid.UUID, int, list[dict[str, Any]], list[dict[str, Any]]]:
    """Items from a position on that want labels in the task, in the order of the dataset, as `Waiting` has them."""
    columns = select(Item.id, Item.position, Item.prompt, Item.responses)
    here = Item.dataset_id == task.dataset_id, Item.position >= at, Place.task_id == task.id, Place.open
    found = columns.join(Place, Place.item_id == Item.id).where(*here, Item.withdrawn_at.is_(None))
    return found.order_by(Item.position)


def over(session: Session, job_id: uuid.UUID) -> str | None:
    """Why the task takes no more labels, if it takes none."""
    task = session.get_one(Task, session.get_one(SuggestionJob, job_id).task_id)
    session.refresh(task, ["closed_at", "deadline"])
    if ended(task) is None:
        return None
    return "The task was closed." if task.closed_at else "The task's deadline has passed."


def waiting(session: Session, job_id: uuid.UUID, limit: int) -> list[Waiting]:
    """The next items to suggest something for, in the order of the dataset."""
    row = session.get_one(SuggestionJob, job_id)
    query = open_items(session.get_one(Task, row.task_id), row.at).limit(limit)
    return [Waiting(*one) for one in session.execute(query)]


def store(session: Session, job_id: uuid.UUID, found: Sequence[tuple[Waiting, Found]]) -> None:
    """Keep what was found of the next items, and that the job has come so far.  Raises TakenAway."""
    read = session.get_one(SuggestionJob, job_id)
    answers = {one.id: answer for one, answer in found if isinstance(answer, Answer)}
    _suggest(session, read, answers)  # it locks nothing before; the job's row comes last
    scores = {one.id: score for one, score in found if isinstance(score, float)}
    rows = [{"job_id": job_id, "item_id": item_id, "score": score} for item_id, score in scores.items()]
    row = _locked(session, job_id)
    if rows:
        session.execute(insert(SuggestionScore), rows)
    row.left_out = dict(Counter(row.left_out) + Counter(why for _, why in found if isinstance(why, str)))
    row.suggested += len(answers)
    row.done += len(found)
    row.at = found[-1][0].position + 1


def known_verdicts(session: Session, job_id: uuid.UUID, keys: Iterable[str]) -> dict[str, Verdict]:
    """What was said already, by evaluations and suggestions of the project; how much that is, is noted."""
    row = _locked(session, job_id)
    found = known.verdicts(session, row.project_id, keys)
    row.taken += len(found)
    return {key: Verdict(one.probability, one.reason, one.text or "") for key, one in found.items()}


def store_verdict(
    session: Session, job_id: uuid.UUID, item_id: uuid.UUID, key: str, said: Verdict, spent: dict[str, Any] | None
) -> None:
    """Keep a verdict by its key, and what all of them have cost.  Raises TakenAway."""
    read = session.get_one(SuggestionJob, job_id)
    told = {"probability": said.probability, "reason": said.reason, "text": said.text or None}
    own = {"project_id": read.project_id, "item_id": item_id, "key": key}
    session.execute(upsert(SuggestionVerdict).values(own | told).on_conflict_do_nothing())
    _locked(session, job_id).spent = spent


def settle(session: Session, job_id: uuid.UUID, judge: Scored) -> bool:
    """Suggest thumbs by the median of the job's scores, of some that are left; whether there were any.

    Raises TakenAway.
    """
    mine = SuggestionScore.job_id == job_id
    read = session.get_one(SuggestionJob, job_id)
    middle = read.median
    if middle is None:
        middle = session.scalar(select(func.percentile_cont(0.5).within_group(SuggestionScore.score)).where(mine))
    some = select(SuggestionScore.item_id, SuggestionScore.score).where(mine).order_by(SuggestionScore.item_id)
    rows = session.execute(some.limit(MOST)).all()
    if not rows or middle is None:
        return False
    _suggest(session, read, {item_id: answering.of_score(judge, score, middle) for item_id, score in rows})
    session.execute(delete(SuggestionScore).where(mine, SuggestionScore.item_id.in_([row[0] for row in rows])))
    row = _locked(session, job_id)
    row.median = middle
    row.suggested += len(rows)
    return True


def _suggest(session: Session, row: SuggestionJob, answers: Mapping[uuid.UUID, Answer]) -> None:
    said = [
        SuggestionIn(item_id=item_id, value=answer.value, margin=answer.margin) for item_id, answer in answers.items()
    ]
    if said:
        task = session.get_one(Task, row.task_id)
        service.take(session, task, SuggestionsIn(by=row.words, suggestions=said))


def _locked(session: Session, job_id: uuid.UUID) -> SuggestionJob:
    row = beat(session, SuggestionJob, job_id)
    if not ours(row):
        raise TakenAway
    return row
