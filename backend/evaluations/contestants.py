"""The checkpoints of evaluations and battles: found within the project, and named."""

import uuid
from collections.abc import Iterable, Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from backend.checkpoints import service as checkpoints
from backend.checkpoints.models import Checkpoint
from backend.errors import Conflict, Invalid, NotFound
from backend.evaluations.schemas import MOST_AGAINST, EvaluationIn
from backend.projects.models import Project
from backend.runs.models import Run


class UnknownCheckpoint(Invalid):
    title = "Unknown checkpoint"


class NoCheckpoints(Invalid):
    title = "No checkpoints of that run"


class TooFewCheckpoints(Conflict):
    title = "Too few checkpoints"


def wanted(session: Session, project: Project, body: EvaluationIn) -> tuple[list[uuid.UUID], str | None]:
    """Who takes part, the baseline first, and how they are paired.

    With a run, its checkpoints by step that are still there; the baseline is the first one named, else what the run
    held its policy against.  Raises NotFound, NoCheckpoints.
    """
    if body.run_id is None:
        return list(body.contestants), None if body.pairing == "all" else body.pairing
    run = session.get(Run, body.run_id)
    if run is None or run.project_id != project.id:
        raise NotFound("There is no such run.", field="run_id", remedy="Choose one from the list.")
    named = list(body.contestants) or [run.reference_id or run.checkpoint_id]
    made = session.scalars(
        select(Checkpoint)
        .where(Checkpoint.run_id == run.id, Checkpoint.removed_at.is_(None), Checkpoint.id.not_in(named))
        .order_by(Checkpoint.step)
    )
    there = [one.id for one in made if checkpoints.ready(one)]
    if not there:
        raise NoCheckpoints(
            f"“{run.name}” has no checkpoint left that could answer.", field="run_id", remedy="Choose another run."
        )
    if len(named) + len(there) > MOST_AGAINST:
        raise NoCheckpoints(
            f"“{run.name}” has {len(there)} checkpoints, and at most {MOST_AGAINST} contestants take part.",
            field="run_id",
            remedy="Name the checkpoints that matter.",
        )
    return [*named, *there], "baseline"


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


def runs(session: Session, checkpoints: Iterable[Checkpoint]) -> dict[uuid.UUID, str]:
    """The names of the runs that made the checkpoints, by id."""
    ids = {one.run_id for one in checkpoints if one.run_id}
    return dict(session.execute(select(Run.id, Run.name).where(Run.id.in_(ids))).all())
