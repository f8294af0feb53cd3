"""Rings again for rows that have waited: a message may be lost, a row is not."""

from datetime import timedelta
from importlib import import_module
from typing import cast

from sqlalchemy import exists, func, select
from sqlalchemy.orm import Session

from backend.db import transaction
from backend.queue import QUEUES, Bell, get_celery, ring_now
from backend.webhooks import delivery
from backend.work import State

PATIENCE = timedelta(seconds=3)  # the doorbell of a fresh row is on its way
ENOUGH = 20  # messages that may wait in a queue before beat stops adding to them

# bell: where its rows are
TABLES: dict[Bell, tuple[str, str]] = {
    "imports": ("backend.datasets.models", "Import"),
    "train": ("backend.runs.models", "Run"),
    "evaluate": ("backend.evaluations.models", "Evaluation"),
    "arena": ("backend.evaluations.models", "Battle"),
    "token_scores": ("backend.evaluations.models", "TokenScores"),
    "contaminations": ("backend.evaluations.models", "Contamination"),
    "fetch": ("backend.checkpoints.models", "Fetch"),
    "export": ("backend.exports.models", "Export"),
    "push": ("backend.exports.models", "Push"),
    "reliabilities": ("backend.quality.models", "Reliability"),
    "suggest": ("backend.suggestions.models", "SuggestionJob"),
    "accuracies": ("backend.accuracy.models", "Accuracy"),
}


def work() -> None:
    """Afterwards each queue with waiting rows has been rung, unless enough rings are waiting there already."""
    with transaction() as session:
        bells = [
            bell for bell, (module, name) in TABLES.items() if waits(session, getattr(import_module(module), name))
        ]
        if delivery.waits(session):
            bells.append("webhooks")
    for bell in bells:
        if backlog(QUEUES[f"plumbline.{bell}"]) < (1 if bell == "train" else ENOUGH):
            ring_now(bell)


def waits(session: Session, table: type) -> bool:
    """Whether `table` has a queued row that is not brand new."""
    columns = table.__table__.c  # type: ignore[attr-defined]
    old = (columns.state == State.queued) & (columns.created_at < func.now() - PATIENCE)
    if table.__name__ == "Run":  # one that is trained elsewhere waits for its reporter
        old &= columns.place == "worker"
    return bool(session.scalar(select(exists().where(old))))


def backlog(queue: str) -> int:
    """How many messages wait in `queue`."""
    with get_celery().connection_or_acquire() as connection:
        return cast(int, connection.default_channel.client.llen(queue))
