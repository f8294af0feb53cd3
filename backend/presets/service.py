"""Joins the presets with what the machine has and what the project already holds."""

import uuid

import psutil
from sqlalchemy import select
from sqlalchemy.orm import Session

from alignment.amounts import amount
from alignment.presets import TUNINGS, Model, TuningKind
from backend.checkpoints import hub_address
from backend.checkpoints.models import Checkpoint, Source
from backend.presets.catalogue import presets
from backend.presets.machine import PROBE, Found
from backend.presets.schemas import FitOut, GpuOut, HereOut, ModelOut, OfferedDatasetOut, PresetsOut
from backend.projects.models import Project
from backend.runs.estimate import PROGRAM_BYTES

USABLE = 0.9  # drivers, other programs and the fragments between tensors have the rest
SLOW_ON_CPU = 300_000_000  # parameters from which a run without a GPU takes many hours


def read(session: Session, project: Project) -> PresetsOut:
    """Every model with what fits here, and every dataset. Never waits for the hub."""
    found = PROBE.read()
    machine = _machine(found)
    here = _checkpoints(session, project)
    file = presets()
    return PresetsOut(
        machine=machine,
        models=[
            ModelOut(
                **model.model_dump(include=set(ModelOut.model_fields)),
                fits=[fit(model, kind, machine) for kind in TUNINGS],
                checkpoint_id=here.get(model.hub_id) or here.get(model.base_hub_id),
            )
            for model in file.models
        ],
        datasets=[OfferedDatasetOut.model_validate(dataset, from_attributes=True) for dataset in file.datasets],
    )


def _machine(found: Found | None) -> HereOut:
    return HereOut(
        gpus=[GpuOut(name=gpu.name, memory_bytes=gpu.memory_bytes) for gpu in found.gpus] if found else [],
        memory_bytes=psutil.virtual_memory().total,
        hub=found.hub if found else None,
        hub_address=hub_address.endpoint(),
        looking=found is None,
    )


def fit(model: Model, kind: TuningKind, machine: HereOut) -> FitOut:
    """Whether a run with the preset's settings has room: on the largest GPU, or in memory where there is none."""
    largest = max((gpu.memory_bytes for gpu in machine.gpus), default=None)
    there = machine.memory_bytes if largest is None else largest
    needed = model.estimate(kind, "cpu" if largest is None else "cuda").memory_total + PROGRAM_BYTES
    fits = needed <= USABLE * there
    what = "this machine" if largest is None else "the GPU"
    reason = f"Takes about {amount(needed)}; {what} has {amount(there)}."
    if needed <= there and not fits:
        reason += " A tenth is left to the system and other programs."
    if fits and largest is None and model.parameters > SLOW_ON_CPU:
        reason += " Without a GPU a run takes many hours."
    return FitOut(tuning=kind, fits=fits, memory_bytes=needed, reason=reason)


def _checkpoints(session: Session, project: Project) -> dict[str, uuid.UUID]:
    """The newest usable checkpoint of each hub id in the project."""
    wanted = [hub_id for model in presets().models for hub_id in (model.hub_id, model.base_hub_id)]
    rows = session.execute(
        select(Checkpoint.hub_id, Checkpoint.id)
        .where(Checkpoint.project_id == project.id, Checkpoint.source == Source.hub, Checkpoint.hub_id.in_(wanted))
        .order_by(Checkpoint.id)
    )
    return {hub_id: checkpoint_id for hub_id, checkpoint_id in rows if hub_id is not None}
