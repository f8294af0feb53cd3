"""The further checkpoints of a run: those that its objective asks for, and those that tell it rewards."""

import uuid
from collections.abc import Mapping

from sqlalchemy import select
from sqlalchemy.orm import Session

from alignment.objectives import rewards
from alignment.training import folder as folders
from alignment.training.errors import CheckpointRefused
from backend.checkpoints import places
from backend.checkpoints import service as checkpoints
from backend.checkpoints.models import Checkpoint, CheckpointKind
from backend.errors import Invalid
from backend.runs.models import RunThird
from backend.runs.schemas import RunIn


class NoReward(Invalid):
    title = "This checkpoint tells no reward"


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


def require_reward(session: Session, checkpoint: Checkpoint, name: str, body: RunIn) -> None:
    """Raise NoReward where a checkpoint does not tell what the run reads of it, a reward model by its scores or a
    language model by what it makes likelier; or what `checkpoints.require_trainable` raises."""
    against = rewards.reference_of(name)
    if checkpoint.kind is not CheckpointKind.reward_model:
        checkpoints.require_trainable(checkpoint, "third_ids")
        if against not in body.third_ids:
            raise NoReward(
                f"“{checkpoint.name}” is a language model: its reward is how much likelier it makes a response than the"
                " checkpoint that it was trained from.",
                field="third_ids",
                remedy=f"Choose that one as {against}, or a reward model as {name}.",
            )
        return
    checkpoints.require_weights(checkpoint, "third_ids")
    checkpoints.require_template(checkpoint, "third_ids")
    if against in body.third_ids:
        raise NoReward(
            f"“{checkpoint.name}” is a reward model, whose scores are measured against nothing.",
            field="third_ids",
            remedy=f"Leave {against} out.",
        )
    try:
        loss = folders.reading_of(places.outline(session, checkpoint))
    except CheckpointRefused as error:
        raise NoReward(error.detail, field="third_ids", remedy=error.remedy) from error
    if rewards.tellable(body.objective.needs)[name] - rewards.COMPARED and not loss.comparable:
        raise NoReward(
            f"“{checkpoint.name}” compares two responses and scores none, and {body.objective.title} asks for a score"
            " of each.",
            field="third_ids",
            remedy="Choose a reward model that gives scores, or another objective.",
        )
