"""Answers battles of the arena: all contestants token by token, their text sent to the browser as it grows."""

import time
import uuid
from collections.abc import Callable
from collections.abc import Generator as PyGenerator
from functools import partial
from typing import NamedTuple

import structlog
from sqlalchemy.orm import Session

from alignment.generation import Response
from alignment.sampling import Sampling
from backend.checkpoints.models import Checkpoint
from backend.checkpoints.openai import PromptRefused
from backend.db import transaction
from backend.evaluations import arena, contestants, tokens
from backend.evaluations.models import Battle
from backend.evaluations.tokens import Piece, StreamAway
from workers import shutdown
from workers.answering import PROMPT_ERRORS, SHELF, Refused, Watch, as_answer, as_error

SEND_SECONDS = 0.08
SHORTEN = "Shorten the prompt or the longest answer, begin a new conversation, or choose other checkpoints."
UNEXPECTED = "Something went wrong while answering."
log = structlog.get_logger()


class Side(NamedTuple):
    """A contestant, and what it has been told."""

    checkpoint: Checkpoint
    prompt: list[arena.Message]
    sampling: Sampling  # drawn apart: checkpoints that are nearly alike do not say the same


class Job(NamedTuple):
    """A battle to answer, its sides in the order shown."""

    id: uuid.UUID
    sides: list[Side]


def work() -> None:
    """Afterwards no battle is queued, unless the worker was told to stop."""
    while not shutdown.asked():
        with transaction() as session:
            battle = arena.take(session)
            if battle is None:
                return
            job = _job(session, battle)
        _answer(job)


def _job(session: Session, battle: Battle) -> Job:
    ids = [uuid.UUID(one) for one in battle.contestants]
    found = contestants.named(session, ids)
    prompts = arena.histories(arena.conversation(session, battle), battle)
    seeds = (len(ids) * battle.seed + place for place in range(len(ids)))
    samplings = [Sampling(**battle.sampling, seed=seed) for seed in seeds]
    return Job(battle.id, list(map(Side, [found[one] for one in ids], prompts, samplings)))


def _answer(job: Job) -> None:
    try:
        answers = _stream(job)
    except Refused as error:
        _fail(job, error.reason, error.remedy, names=True)
    except PROMPT_ERRORS as error:
        # a server's refusal says in its own words why, and often which model it is
        _fail(job, as_error(error)["detail"], SHORTEN, names=isinstance(error, PromptRefused))
    except Exception:
        log.exception("battle failed")
        _fail(job, UNEXPECTED, "Try again; the worker's log holds the cause.")
        raise
    else:
        with transaction() as session:
            if shutdown.asked() and any(answer.finish == "stopped" for answer in answers):
                arena.put_back(session, job.id)
            else:
                arena.close(session, job.id, [as_answer(answer) for answer in answers])


def _fail(job: Job, reason: str, remedy: str, *, names: bool = False) -> None:
    with transaction() as session:
        arena.fail(session, job.id, reason, remedy, names=names)


def _stream(job: Job) -> list[Response]:
    """The whole answers; their pieces are on their way to the browser before.

    Each contestant on this machine writes a token when it is its turn, so that their pace tells little.
    """
    watch = Watch(lambda: _alive(job.id))
    watch()
    _send(partial(tokens.begin, job.id))
    loaded = [SHELF.get(side.checkpoint, watch, together=len(job.sides)) for side in job.sides]
    going: dict[int, PyGenerator[str, None, Response]] = {
        place: one.stream(side.prompt, side.sampling, stop=watch, cut=False)
        for place, (one, side) in enumerate(zip(loaded, job.sides, strict=True))
    }
    answers: dict[int, Response] = {}
    pieces: list[Piece] = []
    sent = time.monotonic()
    while going:
        for side in list(going):
            try:
                text = next(going[side])
                if text:  # an endpoint gives an empty piece when nothing came for a moment
                    pieces.append(Piece(side, text))
            except StopIteration as end:
                answers[side] = end.value
                del going[side]
        if pieces and (not going or time.monotonic() - sent > SEND_SECONDS):
            _send(partial(tokens.write, job.id, pieces))
            pieces, sent = [], time.monotonic()
    return [answers[place] for place in range(len(job.sides))]


def _send(write: Callable[[], None]) -> None:
    try:
        write()
    except StreamAway:  # the whole answers go to the database in any case
        log.warning("arena text not sent")


def _alive(battle_id: uuid.UUID) -> bool:
    with transaction() as session:
        return arena.alive(session, battle_id)
