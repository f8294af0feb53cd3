"""Answers arena matches: both checkpoints turn by turn, their text sent to the browser as it grows."""

import time
import uuid
from collections.abc import Generator as PyGenerator
from typing import Any, NamedTuple

import structlog

from alignment.generation import Response
from alignment.sampling import Sampling
from backend.checkpoints.models import Checkpoint
from backend.db import transaction
from backend.evaluations import arena, contestants, tokens
from backend.evaluations.tokens import Piece, Side, StreamAway
from workers import shutdown
from workers.answering import PROMPT_ERRORS, SHELF, Refused, Watch, as_answer, as_error

SEND_SECONDS = 0.08
SHORTEN = "Shorten the prompt or the longest answer, or choose checkpoints with a longer context."
UNEXPECTED = "Something went wrong while answering."
log = structlog.get_logger()


class Job(NamedTuple):
    """A match to answer."""

    id: uuid.UUID
    prompt: list[dict[str, Any]]
    samplings: dict[Side, Sampling]  # drawn apart: two checkpoints that are nearly alike do not say the same
    sides: dict[Side, Checkpoint]


def work() -> None:
    """Afterwards no arena match is queued, unless the worker was told to stop."""
    while not shutdown.asked():
        with transaction() as session:
            match = arena.take(session)
            if match is None:
                return
            found = contestants.named(session, [match.checkpoint_a, match.checkpoint_b])
            sides: dict[Side, Checkpoint] = {"a": found[match.checkpoint_a], "b": found[match.checkpoint_b]}
            samplings: dict[Side, Sampling] = {
                side: Sampling(**match.sampling, seed=2 * match.seed + number) for number, side in enumerate(sides)
            }
            job = Job(match.id, match.prompt, samplings, sides)
        _answer(job)


def _answer(job: Job) -> None:
    try:
        answers = _stream(job)
    except Refused as error:
        _fail(job, error.reason, error.remedy)
    except PROMPT_ERRORS as error:
        _fail(job, as_error(error)["detail"], SHORTEN)
    except Exception:
        log.exception("arena match failed")
        _fail(job, UNEXPECTED, "Ask again; the worker's log holds the cause.")
        raise
    else:
        with transaction() as session:
            if shutdown.asked() and any(answer.finish == "stopped" for answer in answers.values()):
                arena.put_back(session, job.id)
            else:
                arena.close(session, job.id, (as_answer(answers["a"]), as_answer(answers["b"])))


def _fail(job: Job, reason: str, remedy: str) -> None:
    with transaction() as session:
        arena.fail(session, job.id, reason, remedy)


def _stream(job: Job) -> dict[Side, Response]:
    """Both whole answers; their pieces are on their way to the browser before."""
    watch = Watch(lambda: _alive(job.id))
    watch()
    going: dict[Side, PyGenerator[str, None, Response]] = {
        side: SHELF.get(checkpoint, watch).stream(job.prompt, job.samplings[side], stop=watch, cut=False)
        for side, checkpoint in job.sides.items()
    }
    answers: dict[Side, Response] = {}
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
            _send(job.id, pieces)
            pieces, sent = [], time.monotonic()
    return answers


def _send(match_id: uuid.UUID, pieces: list[Piece]) -> None:
    try:
        tokens.write(match_id, pieces)
    except StreamAway:  # the whole answers go to the database in any case
        log.warning("arena text not sent", match=str(match_id))


def _alive(match_id: uuid.UUID) -> bool:
    with transaction() as session:
        return arena.alive(session, match_id)
