"""Reads answers token by token: what the checkpoint that answered, and a reference, think of each."""

import math
import uuid
from typing import Any, NamedTuple, cast

import structlog
import torch
from sqlalchemy.orm import Session

from alignment.generation import AnswerTooLong, Generator, reading
from backend import work as queued
from backend.checkpoints.models import Checkpoint
from backend.db import transaction
from backend.evaluations import token_scores
from backend.evaluations.comparison_schemas import Side
from backend.evaluations.models import Match, TokenScores
from backend.work import State
from workers import shutdown
from workers.answering import PROMPT_ERRORS, SHELF, Refused, Watch, as_error, out_of_memory, storable
from workers.ending import Halt, end

FAMILY = "Choose a reference of the same family."
AGAIN = "Ask again; the worker's log holds the cause."
log = structlog.get_logger()


class Job(NamedTuple):
    """An answer to read, and by whom."""

    id: uuid.UUID
    prompt: list[dict[str, Any]]
    answer: dict[str, Any]
    policy: Checkpoint
    reference: Checkpoint
    watch: Watch


def work() -> None:
    """Claim and finish what was asked until nothing is left or the worker is told to stop."""
    while not shutdown.asked():
        with transaction() as session:
            row = queued.claim(session, TokenScores)
            if row is None:
                return
            row.attempts += 1
            job = _job(session, row)
        _run(job)


def _job(session: Session, row: TokenScores) -> Job:
    match, side = session.get_one(Match, row.match_id), cast(Side, row.side)
    return Job(
        row.id,
        match.prompt,
        token_scores.answer(match, side) or {},
        session.get_one(Checkpoint, token_scores.checkpoint_id(match, side)),
        session.get_one(Checkpoint, row.reference_id),
        _watch(row.id),
    )


def _watch(row_id: uuid.UUID) -> Watch:
    def go_on() -> bool:
        with transaction() as session:
            if session.get(TokenScores, row_id, with_for_update=True) is None:  # its answer is deleted
                return False
            row = queued.beat(session, TokenScores, row_id)
            return queued.ours(row) and not row.stop_requested

    return Watch(go_on)


def _run(job: Job) -> None:
    try:
        found = _read(job)
    except Halt:
        end(TokenScores, job.id, None)
    except Refused as error:
        end(TokenScores, job.id, State.failed, error.reason, error.remedy)
    except AnswerTooLong as error:
        reason = f"The answer has {error.tokens} tokens, and one of the checkpoints reads {error.context} at once."
        end(TokenScores, job.id, State.failed, reason, "Choose a reference with a longer context.")
    except PROMPT_ERRORS as error:
        end(TokenScores, job.id, State.failed, as_error(error)["detail"], "Choose another match.")
    except Exception:
        log.exception("reading tokens failed")
        end(TokenScores, job.id, State.failed, "Something went wrong while reading the answer.", AGAIN)
        raise
    else:
        end(TokenScores, job.id, State.succeeded, keep=lambda row: _keep(row, found))


def _keep(row: TokenScores, found: dict[str, Any]) -> None:
    row.result, row.done = found, row.total


def _read(job: Job) -> dict[str, Any]:
    """Texts of the tokens with both log-probabilities and the divergence.

    Raises Halt, Refused, AnswerTooLong, PROMPT_ERRORS.
    """
    if "content" not in job.answer:
        raise Refused("The answer is not there any more.", "Choose another match.")
    policy, reference = _load(job, job.policy), _load(job, job.reference)
    if not policy.reads_like(reference):
        reason = (
            f"“{job.reference.name}” has other tokens than “{job.policy.name}”, so they cannot be compared by token."
        )
        raise Refused(reason, FAMILY)
    context = min((one.context for one in (policy, reference) if one.context is not None), default=None)
    ended = job.answer.get("ended") is not False
    found = policy.read(job.prompt, job.answer["content"], ended=ended, context=context)
    if not found.response:
        return {"tokens": [], "policy": [], "reference": [], "kl": []}
    voices = []
    for generator, checkpoint in ((policy, job.policy), (reference, job.reference)):
        if job.watch():
            raise Halt
        try:
            voices.append(generator.voice(found))
        except (MemoryError, torch.OutOfMemoryError) as error:
            raise out_of_memory(checkpoint.name) from error
    said = reading.said(voices[0], voices[1], found)
    for values, checkpoint in ((said.policy, job.policy), (said.reference, job.reference), (said.kl, job.reference)):
        if not all(map(math.isfinite, values or [])):
            raise Refused(f"“{checkpoint.name}” gives no finite probabilities for this answer.", FAMILY)
    return {"tokens": [storable(text) for text in found.texts], **said._asdict()}


def _load(job: Job, checkpoint: Checkpoint) -> Generator:
    if job.watch():
        raise Halt
    found = SHELF.get(checkpoint, job.watch)
    if not isinstance(found, Generator):
        raise Refused(f"“{checkpoint.name}” is an endpoint, which tells no such numbers.", FAMILY)
    return found
