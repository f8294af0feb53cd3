"""Suggests labels: claims a job, lets its judge say something of item after item, stores that with how far it is."""

import uuid
from collections.abc import Callable, Sequence
from functools import partial
from itertools import combinations

import structlog
import torch

from alignment.chat import UnsupportedContent, text_of
from alignment.judges import Judge, Match, Verdict
from alignment.judges.llm import LLM
from alignment.judges.scored import Question, Scored, Unread
from backend.checkpoints.models import Checkpoint
from backend.checkpoints.openai import Server
from backend.db import transaction
from backend.suggestions import answering, progress
from backend.suggestions.models import SuggestionJob
from backend.suggestions.progress import Found, Taken, TakenAway, Waiting
from backend.tasks.schemas import Question as Asked
from backend.work import State, beat, finish, ours
from workers import shutdown
from workers.answering import Refused, Watch, out_of_memory, reach
from workers.judging import Stopped, equipped
from workers.pool import Stop, each

ITEMS_AT_ONCE = 32
MOST_COMPARED = 8
NOT_TEXT = "It holds something other than text."
SAME = "Its responses are all the same."
MANY = f"It has more than {MOST_COMPARED} responses, and each two would be compared twice."
CANCELLED = "Cancelled; suggestions up to then are kept."
BROKEN = "It stopped on an unexpected error."
AGAIN = "Let it go on: what is suggested already stays."
Say = Callable[[Sequence[Waiting]], list[Found] | None]
"""What is suggested for each of some items, or why not; None when the work is to stop."""
log = structlog.get_logger()


def work() -> None:
    """Afterwards no job is queued, unless the worker was told to stop or the machine is busy."""
    while not shutdown.asked():
        with transaction() as session:
            job = progress.take(session)
        if job is None:
            return
        suggest(job)


def suggest(job: Taken) -> None:
    """Afterwards every item that wants labels has a suggestion or a reason why not, or the job has ended otherwise."""
    watch = _watch(job.id)
    try:
        over = _suggest(job, watch)
    except TakenAway:
        log.warning("suggestions were taken away from this worker")
    except Refused as error:
        _end(job.id, watch, State.failed, error.reason, error.remedy)
    except (MemoryError, torch.OutOfMemoryError):
        full = out_of_memory(", ".join(one.name for one in job.models.values()))
        _end(job.id, watch, State.failed, full.reason, full.remedy)
    except Exception:
        log.exception("suggesting labels failed")
        _end(job.id, watch, State.failed, BROKEN, AGAIN)
        raise
    else:
        _end(job.id, watch, State.cancelled if over else State.succeeded, over and f"{over} {CANCELLED}")


def _watch(job_id: uuid.UUID) -> Watch:
    def go_on() -> bool:
        with transaction() as session:
            row = beat(session, SuggestionJob, job_id)
            return ours(row) and not row.stop_requested

    return Watch(go_on)


def _end(job_id: uuid.UUID, watch: Watch, state: State, reason: str | None = None, remedy: str | None = None) -> None:
    with transaction() as session:
        row = session.get_one(SuggestionJob, job_id, with_for_update=True)
        if not ours(row):
            return
        if state is State.failed:
            finish(row, state, reason, remedy)
        elif row.stop_requested:
            finish(row, State.cancelled, CANCELLED)
        elif watch.stopped:  # the worker was told to stop, which is no failed attempt: another one goes on
            row.state = State.queued
            row.attempts -= 1
        else:
            finish(row, state, reason)


def _suggest(job: Taken, watch: Watch) -> str | None:
    """Why the task takes no more labels, if that ended the work."""
    with transaction() as session:
        progress.begin(session, job.id)
    say: Say | None = None
    while not watch():
        with transaction() as session:
            over, some = progress.over(session, job.id), progress.waiting(session, job.id, ITEMS_AT_ONCE)
        if over is not None:
            return over
        if not some:
            _settle(job, watch)
            return None
        say = say or _ready(job, watch)
        found = say(some)
        if found is not None:
            with transaction() as session:
                progress.store(session, job.id, list(zip(some, found, strict=True)))
    return None


def _settle(job: Taken, watch: Watch) -> None:
    """Thumbs are suggested once the median of all scores is known."""
    more = isinstance(job.judge, Scored) and job.question.kind == "thumb"
    while more and not watch():
        with transaction() as session:
            more = isinstance(job.judge, Scored) and progress.settle(session, job.id, job.judge)


def _ready(job: Taken, watch: Watch) -> Say:
    """What says something of items, with its models loaded.  Raises Refused."""
    if isinstance(job.judge, Scored):
        return _by_scores(job, job.judge, watch)
    return _by_verdicts(job, watch)


def _by_scores(job: Taken, judge: Scored, watch: Watch) -> Say:
    reading = equipped(judge, job.models, watch)
    assert isinstance(reading, Scored)  # noqa: S101  (the same judge)

    def answer(told: Sequence[object], scores: list[float]) -> Found:
        unread = next((one.reason for one in told if isinstance(one, Unread)), None)
        if unread is not None:
            return unread
        if job.question.kind == "thumb":
            return scores[0]
        return answering.of_scores(job.question, judge, scores)

    def say(some: Sequence[Waiting]) -> list[Found] | None:
        texts = [_texts(one) for one in some]
        asked = [Question(one.prompt, own) for one, own in zip(some, texts, strict=True) if not isinstance(own, str)]
        try:
            told = iter(reading.scores(asked))
        except Stopped:
            return None
        found: list[Found] = []
        for own in texts:
            if isinstance(own, str):
                found.append(own)
                continue
            said = next(told)
            found.append(answer(said, [one.value for one in said if not isinstance(one, Unread)]))
        return found

    return say


def _by_verdicts(job: Taken, watch: Watch) -> Say:
    model = job.models.get("checkpoint")
    judge = job.judge if model is not None and model.endpoint is not None else equipped(job.judge, job.models, watch)

    def say(some: Sequence[Waiting]) -> list[Found] | None:
        texts = [_compared(one) for one in some]
        asked: list[Match] = []
        for one, own in zip(some, texts, strict=True):
            pairs = () if isinstance(own, str) else combinations(own, 2)
            asked += [Match(one.prompt, *sides) for pair in pairs for sides in (pair, pair[::-1])]
        said = _verdicts(judge, model, asked, watch)
        if said is None:
            return None
        verdicts, found = iter(said), list[Found]()
        for own in texts:
            if isinstance(own, str):
                found.append(own)
                continue
            both = [(next(verdicts), next(verdicts)) for _ in combinations(own, 2)]
            found.append(_of_verdicts(job.question, len(own), both))
        return found

    return say


def _of_verdicts(question: Asked, count: int, compared: Sequence[tuple[Verdict, Verdict]]) -> Found:
    """What verdicts in both orders amount to, or why one of them is none."""
    won = []
    for first, second in compared:
        if first.probability is None or second.probability is None:
            return str(first.reason or second.reason)
        won.append((first.probability, 1 - second.probability))
    return answering.of_verdicts(question, count, won)


def _verdicts(judge: Judge, model: Checkpoint | None, asked: Sequence[Match], watch: Watch) -> list[Verdict] | None:
    """What the judge says of each match, in order; None when the work is to stop.  Raises Refused."""
    if not isinstance(judge, LLM) or model is None or model.endpoint is None:
        try:
            return judge.decide(asked)
        except Stopped:
            return None
    endpoint = reach(model)

    def ask(server: Server, place: int, over: Stop) -> Verdict:
        return judge.asking(partial(endpoint.reply, server, over)).decide([asked[place]])[0]

    said: dict[int, Verdict] = {}
    for found in each(endpoint.server, ask, range(len(asked)), min(endpoint.at_once, len(asked)), watch):
        if found is not None:
            said[found[0]] = found[1]
    return None if len(said) < len(asked) else [said[place] for place in range(len(asked))]


def _texts(one: Waiting) -> tuple[str, ...] | str:
    """The texts of an item's responses, or why there is nothing to say of them."""
    try:
        found = tuple(text_of(response["content"]) for response in one.responses)
    except (UnsupportedContent, KeyError):
        return NOT_TEXT
    return SAME if len(found) > 1 and len(set(found)) == 1 else found


def _compared(one: Waiting) -> tuple[str, ...] | str:
    """The same for responses that are compared two by two."""
    return MANY if len(one.responses) > MOST_COMPARED else _texts(one)
