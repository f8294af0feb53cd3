"""Runs evaluations: every contestant answers every prompt, then an automatic judge decides every match both ways, and
lm-evaluation-harness measures every contestant where that was asked."""

import time
import uuid
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import structlog
import torch

from alignment.generation import Response
from alignment.judges import Judge
from alignment.judges.panel import Voice, voices
from alignment.sampling import Sampling
from backend.checkpoints.models import Checkpoint
from backend.db import look_again, transaction
from backend.evaluations import judging as judges
from backend.evaluations import known, progress
from backend.evaluations.models import Evaluation, Match, Verdict
from backend.evaluations.progress import Question, Unjudged
from backend.regressions import service as regressions
from backend.work import State, beat, finish, ours
from workers import judging, measuring, shutdown, spending
from workers.answering import PROMPT_ERRORS, SHELF, Answering, Refused, Watch, as_answer, as_error, out_of_memory
from workers.spending import LimitReached, Purse

PROMPTS_AT_ONCE = 512  # within these, a place that an answer leaves goes to the next prompt
STORE_SECONDS = 2.0
VERDICTS_AT_ONCE = 200
log = structlog.get_logger()


class Job(NamedTuple):
    """An evaluation to run; `models` are the checkpoints that its judge asks, by the path of the field."""

    id: uuid.UUID
    contestants: Sequence[Checkpoint]
    sampling: Sampling
    judge: Judge
    models: Mapping[str, Checkpoint]
    purse: Purse
    watch: Watch


def work() -> None:
    """Afterwards no evaluation is queued, unless the worker was told to stop."""
    while not shutdown.asked():
        with transaction() as session:
            evaluation = progress.take(session)
            if evaluation is None:
                return
            job = Job(
                evaluation.id,
                progress.field(session, evaluation),
                Sampling(**evaluation.sampling, seed=evaluation.seed),
                judges.resolve(evaluation.judge),
                progress.judge_models(session, evaluation),
                spending.purse_of(evaluation),
                _watch(evaluation.id),
            )
        _run(job)


def _watch(evaluation_id: uuid.UUID) -> Watch:
    def go_on() -> bool:
        with transaction() as session:
            evaluation = beat(session, Evaluation, evaluation_id)
            return ours(evaluation) and not evaluation.stop_requested

    return Watch(go_on)


def _run(job: Job) -> None:
    try:
        with spending.out_of(job.purse):
            _answer(job)
            _judge(job)
            measuring.measure(job.id, job.contestants, job.watch)
    except LimitReached as error:
        _end(job, State.cancelled, error.reason, error.remedy)
    except Refused as error:
        _end(job, State.failed, error.reason, error.remedy)
    except Exception:
        log.exception("evaluation failed")
        _end(job, State.failed, "Something went wrong in the worker.", "The worker's log holds the cause; start anew.")
        raise
    else:
        _end(job, State.succeeded)


def _end(job: Job, state: State, reason: str | None = None, remedy: str | None = None) -> None:
    with transaction() as session:
        evaluation = session.get_one(Evaluation, job.id, with_for_update=True)
        if not ours(evaluation):  # swept while this worker was asleep: ended, or another's by now
            return
        evaluation.spent = job.purse.closed()
        if reason is not None:
            finish(evaluation, state, reason, remedy)
        elif evaluation.stop_requested:
            finish(evaluation, State.cancelled, "Cancelled; answers and verdicts up to then are kept.")
        elif job.watch.stopped:  # the worker was told to stop: another one goes on
            progress.put_back(evaluation)
        else:
            finish(evaluation, state)
            regressions.conclude(session, evaluation)
        look_again(session, evaluation.done, Match, Verdict)  # last, as it keeps others from doing the like


def _answer(job: Job) -> None:
    """Every contestant answers what it has not answered yet."""
    for checkpoint in job.contestants:
        with transaction() as session:
            questions = progress.unanswered(session, job.id, checkpoint.id)
            questions = progress.take_answers(session, job.id, checkpoint.id, questions)
        if not questions or job.watch():
            continue
        generator = SHELF.get(checkpoint, job.watch)
        for start in range(0, len(questions), PROMPTS_AT_ONCE):
            _batch(job, checkpoint, generator, questions[start : start + PROMPTS_AT_ONCE])
            if job.watch.stopped:
                return


class Kept:
    """Answers of a contestant on their way to the database, by position."""

    def __init__(self, job: Job, checkpoint: Checkpoint) -> None:
        self._job, self._checkpoint = job, checkpoint
        self._waiting: dict[int, dict[str, Any]] = {}
        self._stored = time.monotonic()
        self.positions: set[int] = set()

    def add(self, position: int, answer: dict[str, Any]) -> None:
        """Keep an answer, or why there is none; every few seconds, or at once when it is paid for, it is stored."""
        self._waiting[position] = answer
        self.positions.add(position)
        if self._checkpoint.endpoint is not None or time.monotonic() - self._stored > STORE_SECONDS:
            self.store()

    def store(self) -> None:
        """Afterwards nothing waits."""
        if self._waiting:
            with transaction() as session:
                stored = progress.store_answers(session, self._job.id, self._checkpoint.id, self._waiting)
                stored.spent = self._job.purse.spent()
        self._waiting, self._stored = {}, time.monotonic()


def _batch(job: Job, checkpoint: Checkpoint, generator: Answering, questions: Sequence[Question]) -> None:
    """Store answers as they come, or why there is none.  When a prompt is at fault, the others are asked without it."""
    kept = Kept(job, checkpoint)

    def answered(index: int, response: Response) -> None:
        kept.add(questions[index].position, as_answer(response))

    try:
        prompts = [question.prompt for question in questions]
        generator.generate(prompts, job.sampling, stop=job.watch, answered=answered, cut=False)
    except PROMPT_ERRORS as error:
        if len(questions) == 1:
            kept.add(questions[0].position, as_error(error))
        else:
            rest = [question for question in questions if question.position not in kept.positions]
            for some in (rest[: len(rest) // 2], rest[len(rest) // 2 :]):
                if some and not job.watch():
                    _batch(job, checkpoint, generator, some)
    except (MemoryError, torch.OutOfMemoryError) as error:
        raise out_of_memory(checkpoint.name) from error
    if not job.watch.stopped:
        kept.store()


def _judge(job: Job) -> None:
    """An automatic judge decides every match in both side orders; before a panel, each of its members."""
    for voice in voices(job.judge) if job.judge.automatic else ():
        try:
            _decide(job, voice)
        except (MemoryError, torch.OutOfMemoryError) as error:
            if not job.models:
                raise
            raise out_of_memory(", ".join(model.name for model in job.models.values())) from error


def _decide(job: Job, voice: Voice) -> None:
    decide: judging.Decide | None = None
    with transaction() as session:
        paid = known.paid(
            session, voice.judge
        )  # what the keys of its verdicts begin with, when those are worth keeping
    while not job.watch():
        with transaction() as session:
            waiting = progress.unjudged(session, job.id, voice.name, VERDICTS_AT_ONCE)
        if not waiting:
            return
        keys = {} if paid is None else {one.place: key for one in waiting if (key := one.key(paid))}
        with transaction() as session:
            taken = progress.take_verdicts(session, job.id, voice.name, keys) if keys else set()
        left = [one for one in waiting if one.place not in taken]
        if not left:
            continue
        decide = decide or judging.ready(voice, job.models, job.watch, _recalled)
        for rows in decide(left):
            told = [row | {"key": keys.get((row["match_id"], row["swapped"]))} for row in rows]
            with transaction() as session:
                progress.store_verdicts(session, job.id, told).spent = job.purse.spent()


def _recalled(waiting: Sequence[Unjudged]) -> judging.Known:
    with transaction() as session:
        return progress.said_by_members(session, {one.match_id for one in waiting})
