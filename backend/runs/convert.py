"""Configurations of other trainers as a run of this project: a recipe, and which checkpoint and data it may mean."""

import uuid
from typing import Any

from pydantic import BaseModel, Field, ValidationError
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from alignment import configs
from alignment.configs import NotConverted
from alignment.configs.reading import LONGEST
from alignment.parts import Part
from alignment.training.spec import Spec
from backend.checkpoints.models import Checkpoint
from backend.datasets.models import Dataset
from backend.errors import Invalid
from backend.projects.models import Project
from backend.runs import preflight


class ConfigRefused(Invalid):
    title = "Not converted"


class ConvertIn(Part):
    """A configuration of TRL or LLaMA-Factory: YAML, JSON or a command line."""

    text: str = Field(max_length=LONGEST)
    devices: int = Field(1, ge=1, le=4096, description="Processes it was meant for, where the text does not say.")


class Understood(BaseModel):
    """A value that was taken over, and where it went."""

    key: str
    value: Any
    becomes: str


class Ignored(BaseModel):
    """A value that was left out, and why."""

    key: str
    value: Any
    why: str


class Differs(BaseModel):
    """A field of the recipe that the configuration does not say in so many words."""

    field: str
    value: Any
    ours: Any
    why: str


class DataNamed(BaseModel):
    """A data set as the configuration names it, and the dataset of this project that is called so."""

    name: str
    config: str | None
    split: str
    weight: float | None
    dataset_id: uuid.UUID | None = None


class ConvertOut(BaseModel):
    """The recipe for a new run, what became of each value, and what must still be chosen."""

    tool: str
    spec: dict[str, Any]
    checkpoint: str | None
    checkpoint_id: uuid.UUID | None
    reference: str | None
    reference_id: uuid.UUID | None
    data: list[DataNamed]
    understood: list[Understood]
    ignored: list[Ignored]
    differs: list[Differs]


def convert(session: Session, project: Project, body: ConvertIn) -> ConvertOut:
    """The run that a configuration describes.  Raises ConfigRefused naming what cannot be done here."""
    try:
        found = configs.convert(body.text, body.devices)
        Spec.model_validate(found.recipe | {"checkpoint": "to choose", "snapshots": [{"path": "to choose"}]})
    except NotConverted as refused:
        raise ConfigRefused(refused.reason, field="text", remedy=refused.remedy) from None
    except ValidationError as error:
        first = preflight.findings(error)[0]
        raise ConfigRefused(f"{first.field}: {first.detail}", field="text", remedy="Correct this value.") from None
    return ConvertOut(
        tool=found.tool,
        spec=found.recipe,
        checkpoint=found.checkpoint,
        checkpoint_id=_checkpoint(session, project, found.checkpoint),
        reference=found.reference,
        reference_id=_checkpoint(session, project, found.reference),
        data=[DataNamed(**one, dataset_id=_dataset(session, project, one["name"])) for one in found.data],
        understood=[Understood(**one) for one in found.understood],
        ignored=[Ignored(**one) for one in found.ignored],
        differs=[Differs(**one) for one in found.differs],
    )


def _checkpoint(session: Session, project: Project, name: str | None) -> uuid.UUID | None:
    """The newest checkpoint of the project that came from this hub id, or has this name."""
    if name is None:
        return None
    known = (Checkpoint.hub_id == name) | (func.lower(Checkpoint.name) == name.lower())
    newest = select(Checkpoint.id).where(Checkpoint.project_id == project.id, known).order_by(Checkpoint.id.desc())
    return session.scalar(newest.limit(1))


def _dataset(session: Session, project: Project, name: str) -> uuid.UUID | None:
    """The dataset of the project that is called so, with or without the owner's name before it."""
    names = {name.lower(), name.lower().rpartition("/")[2]}
    return session.scalar(
        select(Dataset.id).where(Dataset.project_id == project.id, func.lower(Dataset.name).in_(names)).limit(1)
    )
