"""Estimates how far annotators can be trusted: claims an estimate, fits the models, stores what they say."""

import time
import uuid
from typing import Any

import structlog

from backend import work as queued
from backend.db import transaction
from backend.errors import AppError
from backend.quality import reliabilities
from backend.quality.models import Reliability
from backend.work import State
from workers import shutdown
from workers.ending import Halt, end
from workers.heartbeat import beating

log = structlog.get_logger()

PULSE_SECONDS = 1.0
NOTHING = "No item has labels of two annotators, and no response was compared twice: there is nothing to tell from."
COLLECT = "Collect labels of several annotators on the same items first."
BROKEN = "It stopped on an unexpected error."


def work() -> None:
    """Claim and finish queued estimates until none is left or the worker is told to stop."""
    while not shutdown.asked():
        with transaction() as session:
            row = queued.claim(session, Reliability)
            if row is None:
                return
            row_id = row.id
        estimate(row_id)


def estimate(row_id: uuid.UUID) -> None:
    """Afterwards the row has its result, or has ended otherwise."""
    asked = time.monotonic()

    def heed(done: int) -> None:
        nonlocal asked
        if time.monotonic() - asked < PULSE_SECONDS:
            return
        asked = time.monotonic()
        with transaction() as session:
            row = queued.beat(session, Reliability, row_id)
            row.done = done
            if row.stop_requested or not queued.ours(row) or shutdown.asked():
                raise Halt

    try:
        with beating(Reliability, row_id):
            with transaction() as session:
                read = reliabilities.read(session, session.get_one(Reliability, row_id))
            found = reliabilities.estimate(*read, heed)
    except Halt:
        end(Reliability, row_id, None)
    except AppError as error:  # the task or the dataset is gone
        end(Reliability, row_id, State.failed, error.detail, error.remedy)
    except Exception:
        log.exception("estimate of reliabilities failed")
        end(Reliability, row_id, State.failed, BROKEN, reliabilities.AGAIN)
    else:
        if found is None:
            end(Reliability, row_id, State.failed, NOTHING, COLLECT)
        else:
            end(Reliability, row_id, State.succeeded, keep=lambda row: _keep(row, found))


def _keep(row: Reliability, found: dict[str, Any]) -> None:
    row.result, row.done = found, row.total
