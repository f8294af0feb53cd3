"""Which objectives, and losses of other kinds of run, some data can feed, and why not the others."""

import uuid
from collections.abc import Iterable, Sequence

from pydantic import BaseModel
from sqlalchemy.orm import Session

from alignment.objectives import Objective, Role, feeding
from alignment.objectives.composite import Composite
from alignment.training.kinds import LOSSES
from backend.datasets import service as datasets
from backend.datasets import snapshots
from backend.projects.models import Project


class UnfitOut(BaseModel):
    """Why data cannot feed an objective, and what to do about it."""

    detail: str
    remedy: str


def unfit(
    session: Session, project: Project, dataset_ids: Sequence[uuid.UUID], snapshot_ids: Sequence[uuid.UUID], apart: bool
) -> dict[str, UnfitOut]:
    """By name, the objectives that a run on these data together cannot have.  Raises NotFound."""
    kinds = {datasets.find(session, project, one).kind for one in dataset_ids}
    kinds |= {snapshots.find(session, project, one).kind for one in snapshot_ids}
    told = {name: _refusal(part, sorted(kinds), apart) for name, part in LOSSES.items()}
    return {name: UnfitOut(detail=why.detail, remedy=why.remedy) for name, why in told.items() if why is not None}


def _refusal(part: type[Objective], kinds: Iterable[str], apart: bool) -> feeding.Refusal | None:
    if issubclass(part, Composite):
        return None  # its parts decide, and nobody has chosen them yet: the pre-flight of a run tells
    unfed = sorted(part.needs.roles & feeding.UNFED.keys())
    if unfed:
        words = " and ".join(feeding.UNFED[role] for role in unfed)
        return feeding.Refusal(f"{part.title} needs {words}, which no data hold yet.", "Choose another objective.")
    found: set[Role] = set()
    for kind in kinds:
        refusal = feeding.refused(part.title, part.needs.roles, kind, apart=apart and kind == "paired")
        if refusal is not None:
            return refusal
        found |= feeding.fed(part.needs.roles, kind, apart=apart)
    return feeding.lacking(part.title, part.needs.roles, found)
