"""The further checkpoints that a run's objective asks for: a guide, a teacher."""

import uuid
from collections.abc import Mapping

from sqlalchemy import select
from sqlalchemy.orm import Session

from backend.checkpoints.models import Checkpoint
from backend.runs.models import RunThird


def keep(session: Session, run_id: uuid.UUID, ids: Mapping[str, uuid.UUID]) -> None:
    """Record what a run's objective asks for, by name."""
    session.add_all(RunThird(run_id=run_id, name=name, checkpoint_id=found) for name, found in ids.items())
    session.flush()


def of(session: Session, run_id: uuid.UUID) -> dict[str, Checkpoint]:
    """Those of a run, by name."""
    query = (
        select(RunThird.name, Checkpoint)
        .join(Checkpoint, Checkpoint.id == RunThird.checkpoint_id)
        .where(RunThird.run_id == run_id)
        .order_by(RunThird.name)
    )
    return {row[0]: row[1] for row in session.execute(query)}
