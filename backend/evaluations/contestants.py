"""The checkpoints of evaluations and arena matches: found within the project, named, drawn at random."""

import uuid
from collections.abc import Iterable, Sequence
from itertools import islice

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from backend.checkpoints import service as checkpoints
from backend.checkpoints.models import Checkpoint
from backend.errors import Conflict, Invalid
from backend.projects.models import Project


class UnknownCheckpoint(Invalid):
    title = "Unknown checkpoint"


class TooFewCheckpoints(Conflict):
    title = "Too few checkpoints"


def find_all(session: Session, project_id: uuid.UUID, ids: Sequence[uuid.UUID], field: str) -> list[Checkpoint]:
    """The checkpoints in the order of `ids`.  Raises UnknownCheckpoint for one that is not the project's."""
    found = named(session, ids)
    for place, checkpoint_id in enumerate(ids):
        checkpoint = found.get(checkpoint_id)
        if checkpoint is None or checkpoint.project_id != project_id:
            raise UnknownCheckpoint(
                "There is no such checkpoint.", field=f"{field}.{place}", remedy="Choose one from the list."
            )
    return [found[checkpoint_id] for checkpoint_id in ids]


def find_ready(session: Session, project_id: uuid.UUID, ids: Sequence[uuid.UUID], field: str) -> list[Checkpoint]:
    """The same for checkpoints that are to answer now.  Raises also WeightsGone, TemplateMissing."""
    found = find_all(session, project_id, ids, field)
    for place, checkpoint in enumerate(found):
        checkpoints.require_ready(checkpoint, f"{field}.{place}")
    return found


def named(session: Session, ids: Iterable[uuid.UUID]) -> dict[uuid.UUID, Checkpoint]:
    """The checkpoints that there are among `ids`."""
    rows = session.scalars(select(Checkpoint).where(Checkpoint.id.in_(set(ids))))
    return {row.id: row for row in rows}


def random_pair(session: Session, project: Project) -> list[Checkpoint]:
    """Two different checkpoints of the project whose weights are there.  Raises TooFewCheckpoints."""
    query = select(Checkpoint).where(Checkpoint.project_id == project.id).order_by(func.random())
    found = list(islice(filter(checkpoints.ready, session.scalars(query)), 2))
    if len(found) < 2:
        raise TooFewCheckpoints(
            "A comparison needs two checkpoints, and there are fewer.",
            remedy="Train a run, or register a checkpoint folder.",
        )
    return found
