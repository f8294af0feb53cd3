"""What a run will take: steps, memory by part, and a range of time from what earlier runs measured, or else from how
fast the workers' machines compute."""

import math
import shutil
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import median
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from alignment.training import timing
from alignment.training.errors import BadSpec
from alignment.training.estimate import ERROR, Estimate, Lengths, estimate
from alignment.training.machine import free_memory
from alignment.training.requirements import require_supported
from alignment.training.schedule import total_steps
from alignment.training.spec import Spec
from backend.checkpoints.models import Checkpoint
from backend.runs import devices
from backend.runs.counts import Examples
from backend.runs.models import Metric, Run, RunEvent
from backend.runs.schemas import EstimateOut, MemoryPart, RunIn, TimeBy
from backend.settings import get_settings
from backend.work import State

NVIDIA = Path("/dev/nvidia0")
PROGRAM_BYTES = 500 << 20  # Python with torch and transformers, before any weights
RATE = "throughput/examples_per_second"
EARLIER_RUNS = 5
FEW_RUNS = 3
SPREAD, SPREAD_OF_FEW = (0.7, 1.5), (0.5, 2.0)
"""Shares of the median outside which the next run seldom is, by many earlier runs and by fewer than `FEW_RUNS`."""
AGAIN = 4 / 3  # the time of a step whose layers are computed again, in times of one that keeps them
RECOMPUTES = "gradient_checkpointing"  # what the log line of a run that says whether it does is known by


def unsupported(whole: Spec) -> list[tuple[str | None, str]]:
    """What the objective needs and training does not supply: field and sentence."""
    try:
        require_supported(whole)
    except BadSpec as error:
        return [(error.field, error.detail)]
    return []


def of(
    session: Session, body: RunIn, checkpoint: Checkpoint, whole: Spec, examples: Examples, lengths: Lengths | None
) -> EstimateOut:
    """The whole estimate of a run that could be launched; of tokens where lengths are known.

    Raises CheckpointRefused.
    """
    device = "cuda" if NVIDIA.exists() else "cpu"
    available = free_memory() if device == "cpu" else None
    free = None if available is None else available - PROGRAM_BYTES
    found = estimate(whole, examples.train, device, lengths, free)
    parts = found.memory.model_dump()
    parts["program"] = PROGRAM_BYTES + parts.pop("libraries") + parts.pop("kernels")
    memory = [MemoryPart(name=name, bytes=size) for name, size in parts.items() if size]
    kept = body.keep.last + (2 if body.keep.best else 1)  # the best one too, and the one that is being written
    states = 0 if body.keep.state == "never" else 2  # one is there while the next is being written
    seconds = by_runs(session, body, checkpoint, found.steps, again=found.gradient_checkpointing)
    told_by: TimeBy = "runs"
    if seconds is None and lengths is not None and body.where == "worker":
        seconds, told_by = by_speed(whole, found, lengths, examples), "speed"
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
        examples=examples.train,
        steps=found.steps,
        tokens=found.tokens,
        tokens_computed=found.tokens_computed,
        gradient_checkpointing=found.gradient_checkpointing,
        seconds=seconds,
        seconds_by=None if seconds is None else told_by,
    )


def steps(body: RunIn, examples: int) -> int:
    """Optimizer steps of the run."""
    return total_steps(body.duration, examples, body.batch.examples_per_step)


def by_runs(
    session: Session, body: RunIn, checkpoint: Checkpoint, steps: int, *, again: bool
) -> tuple[float, float] | None:
    """Low and high seconds of a run, from runs of this kind on checkpoints of the same size; None without any.

    To the steps' own time is added what these took to begin (loading, the reference), and for each evaluation, with its
    samples and its checkpoint, what one took there.  Where some had the same objective, only those count: others may
    ask for a reference, or for more tokens.  `again`: layers are computed again.
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
    per_example = median((1 / one.rate) * AGAIN ** (again - one.again) for one in found)
    evaluations = math.ceil(steps / body.evaluate.every_steps)
    expected = steps * body.batch.examples_per_step * per_example
    expected += _usual(one.to_begin for one in found) + evaluations * _usual(one.to_evaluate for one in found)
    low, high = SPREAD_OF_FEW if len(found) < FEW_RUNS else SPREAD
    return expected * low, expected * high


def by_speed(whole: Spec, found: Estimate, lengths: Lengths, examples: Examples) -> tuple[float, float] | None:
    """Low and high seconds of a run, from how fast the machines compute whose workers could take it: the fastest and
    the slowest; None where that is not known of all of them.  Raises CheckpointRefused."""
    told = []
    for machine in devices.able(get_settings().redis_url, whole.devices):
        if machine.speed is None:
            return None
        times = whole.devices if machine.gpus else 1  # processes that share processors are no faster than one
        told.append(timing.seconds(whole, found, lengths, examples.train, examples.validation, machine.speed, times))
    return (min(low for low, _ in told), max(high for _, high in told)) if told else None


def _usual(found: Iterable[float | None]) -> float:
    known = [one for one in found if one is not None]
    return median(known) if known else 0.0


class _Measured(NamedTuple):
    """The usual examples a second of a run, whether its layers were computed again, and what a whole one took beside
    its steps: to begin, and for each evaluation."""

    rate: float
    again: bool
    to_begin: float | None
    to_evaluate: float | None


def _measured(session: Session, runs: Select[UUID]) -> list[_Measured]:
    """What each of these runs that has told its speed took."""
    rates = (
        select(Metric.run_id, func.percentile_cont(0.5).within_group(Metric.value).label("rate"))
        .where(Metric.run_id.in_(runs), Metric.name == RATE, Metric.value > 0)
        .group_by(Metric.run_id)
        .subquery()
    )
    rows = session.execute(select(Run, rates.c.rate).join(rates, rates.c.run_id == Run.id)).all()
    told = defaultdict[UUID, list[RunEvent]](list)
    wanted = (RunEvent.kind == "checkpoint") | ((RunEvent.kind == "log") & RunEvent.payload.has_key(RECOMPUTES))
    ids = [run.id for run, _ in rows]
    for event in session.scalars(select(RunEvent).where(RunEvent.run_id.in_(ids), wanted).order_by(RunEvent.id)):
        told[event.run_id].append(event)
    return [_Measured(rate, _recomputed(told[run.id]), *_beside(run, rate, told[run.id])) for run, rate in rows]


def _recomputed(events: Sequence[RunEvent]) -> bool:
    return any(event.payload.get(RECOMPUTES) is True for event in events)


def _beside(run: Run, rate: float, events: Sequence[RunEvent]) -> tuple[float | None, float | None]:
    """Seconds that a run took to begin, and for each of its evaluations, which all end with a checkpoint: from one
    checkpoint to another it took steps and evaluations alone.  With one evaluation, that is among what it took to
    begin."""
    if run.state != State.succeeded or run.started_at is None or run.finished_at is None:
        return None, None
    per_step: float = run.spec["batch"]["examples_per_step"] / rate
    beside = max(0.0, (run.finished_at - run.started_at).total_seconds() - run.done * per_step)
    ends = [(event.step, event.created_at) for event in events if event.kind == "checkpoint" and event.step is not None]
    if len(ends) < 2:
        return beside, None
    (first, earlier), (last, later) = ends[0], ends[-1]
    evaluating = (later - earlier).total_seconds() - (last - first) * per_step
    to_evaluate = min(max(0.0, evaluating / (len(ends) - 1)), beside / len(ends))
    return beside - to_evaluate * len(ends), to_evaluate
