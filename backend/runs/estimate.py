"""What a run will take: steps, memory by part, and a range of time from what earlier runs measured."""

import shutil
from pathlib import Path
from statistics import median
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from alignment.training.errors import BadSpec
from alignment.training.estimate import ERROR, Lengths, estimate
from alignment.training.machine import free_memory
from alignment.training.requirements import require_supported
from alignment.training.schedule import total_steps
from alignment.training.spec import Spec
from backend.checkpoints.models import Checkpoint
from backend.runs.models import Metric, Run
from backend.runs.schemas import EstimateOut, MemoryPart, RunIn
from backend.settings import get_settings
from backend.work import State

NVIDIA = Path("/dev/nvidia0")
PROGRAM_BYTES = 500 << 20  # Python with torch and transformers, before any weights
RATE = "throughput/examples_per_second"
EARLIER_RUNS = 5
SPREAD = (0.7, 1.5)  # the next run is seldom outside this share of the median


def unsupported(whole: Spec) -> list[tuple[str | None, str]]:
    """What the objective needs and training does not supply: field and sentence."""
    try:
        require_supported(whole)
    except BadSpec as error:
        return [(error.field, error.detail)]
    return []


def of(
    session: Session, body: RunIn, checkpoint: Checkpoint, whole: Spec, examples: int, lengths: Lengths | None
) -> EstimateOut:
    """The whole estimate of a run that could be launched; of tokens where lengths are known.

    Raises CheckpointRefused.
    """
    device = "cuda" if NVIDIA.exists() else "cpu"
    available = free_memory() if device == "cpu" else None
    free = None if available is None else available - PROGRAM_BYTES
    found = estimate(whole, examples, device, lengths, free)
    parts = found.memory.model_dump()
    parts["program"] = PROGRAM_BYTES + parts.pop("libraries") + parts.pop("kernels")
    memory = [MemoryPart(name=name, bytes=size) for name, size in parts.items() if size]
    kept = body.keep.last + (2 if body.keep.best else 1)  # the best one too, and the one that is being written
    states = 0 if body.keep.state == "never" else 2  # one is there while the next is being written
    return EstimateOut(
        memory=memory,
        memory_bytes=sum(part.bytes for part in memory),
        memory_error=ERROR,
        available_bytes=available,
        device=device,
        parameters=found.parameters,
        trainable=found.trainable,
        disk_bytes=found.checkpoint_bytes * kept + found.state_bytes * states,
        free_disk_bytes=shutil.disk_usage(get_settings().data).free,
        examples=examples,
        steps=found.steps,
        tokens=found.tokens,
        tokens_computed=found.tokens_computed,
        gradient_checkpointing=found.gradient_checkpointing,
        seconds=seconds(session, body, checkpoint, found.steps),
    )


def steps(body: RunIn, examples: int) -> int:
    """Optimizer steps of the run."""
    return total_steps(body.duration, examples, body.batch.examples_per_step)


def seconds(session: Session, body: RunIn, checkpoint: Checkpoint, steps: int) -> tuple[float, float] | None:
    """Low and high seconds of a run, from runs of this kind on checkpoints of the same size; None without any.

    What these took beside their steps (loading, the reference, evaluations) is added to the steps' own time.  Where
    some had the same objective, only those count: others may ask for a reference, or for more tokens.
    """
    alike = (
        select(Run.id)
        .join(Checkpoint, Checkpoint.id == Run.checkpoint_id)
        .where(
            Run.project_id == checkpoint.project_id,
            Run.kind == body.kind,
            Checkpoint.parameters == checkpoint.parameters,
            Checkpoint.architecture == checkpoint.architecture,
            Run.spec["tuning"]["kind"].astext == body.tuning.kind,
            Run.spec["precision"].astext == body.precision,
        )
        .order_by(Run.id.desc())
        .limit(EARLIER_RUNS)
    )
    found = _measured(session, alike.where(Run.objective == body.objective.name)) or _measured(session, alike)
    if not found:
        return None
    beside = [one.beside for one in found if one.beside is not None]
    expected = steps * body.batch.examples_per_step / median(one.rate for one in found)
    expected += median(beside) if beside else 0.0
    return expected * SPREAD[0], expected * SPREAD[1]


class _Measured(NamedTuple):
    """The usual examples a second of a run, and the seconds that a whole one took beside its steps."""

    rate: float
    beside: float | None


def _measured(session: Session, runs: Select[UUID]) -> list[_Measured]:
    """What each of these runs that has told its speed took."""
    rates = (
        select(Metric.run_id, func.percentile_cont(0.5).within_group(Metric.value).label("rate"))
        .where(Metric.run_id.in_(runs), Metric.name == RATE, Metric.value > 0)
        .group_by(Metric.run_id)
        .subquery()
    )
    rows = session.execute(select(Run, rates.c.rate).join(rates, rates.c.run_id == Run.id))
    return [_Measured(rate, _beside(run, rate)) for run, rate in rows]


def _beside(run: Run, rate: float) -> float | None:
    if run.state != State.succeeded or run.started_at is None or run.finished_at is None:
        return None
    whole = (run.finished_at - run.started_at).total_seconds()
    per_step: int = run.spec["batch"]["examples_per_step"]
    return max(0.0, whole - run.done * per_step / rate)
