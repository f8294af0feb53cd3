"""Tables of runs, their metrics (raw and rolled up) and their events."""

import uuid
from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar

from sqlalchemy import BigInteger, Double, Enum, ForeignKey, Index, LargeBinary, SmallInteger, func
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from backend.db import Base, ProjectRow, Row
from backend.work import State, Work


class Place(StrEnum):
    """Who trains: a worker of ours, or a program that reports over HTTP."""

    worker = "worker"
    elsewhere = "elsewhere"


class Run(Work, ProjectRow, Base):
    """One training run. `done` and `total` count optimizer steps; `pid` is the worker's, `process_group` the trainer's.

    `guard` is how it is checked for regressions when it succeeds (`GuardIn`), null: not at all.
    `spec` is what training is told, without paths; `failure` is the code of the cause when it failed. `reporter` is
    what the program that trains elsewhere says of itself. `device` is the name of what it trains on ("cpu", or the
    accelerator's), told by the trainer. `state_step` is the step from which the run can be continued, `state_host` the
    machine that alone has what that takes (null: it lies where every machine finds it); `rewound_at` is the byte of the
    last event that took back what was told of later steps.
    """

    __tablename__ = "runs"
    __table_args__ = (Index("ix_runs_project_id_id", "project_id", "id"),)
    name: Mapped[str]
    kind: Mapped[str]
    spec: Mapped[dict[str, Any]]
    objective: Mapped[str]
    checkpoint_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("checkpoints.id", ondelete="RESTRICT"), index=True)
    snapshot_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("snapshots.id", ondelete="RESTRICT"), index=True)
    reference_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("checkpoints.id", ondelete="RESTRICT"))
    process_group: Mapped[int | None]
    device: Mapped[str | None]
    devices: Mapped[int] = mapped_column(default=1)
    events_offset: Mapped[int] = mapped_column(BigInteger, default=0)
    eta_seconds: Mapped[float | None] = mapped_column(Double)
    failure: Mapped[str | None]
    state_step: Mapped[int | None]
    state_host: Mapped[str | None]
    rewound_at: Mapped[int | None] = mapped_column(BigInteger)
    place: Mapped[Place] = mapped_column(
        Enum(Place, native_enum=False, length=16, create_constraint=False), default=Place.worker
    )
    reporter: Mapped[dict[str, Any] | None]
    guard: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    created_by: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("users.id", ondelete="SET NULL"))

    TOLD: ClassVar[Mapping[State, str]] = {
        State.succeeded: "run.succeeded",
        State.failed: "run.failed",
        State.lost: "run.failed",
        State.cancelled: "run.cancelled",
    }

    def story(self) -> dict[str, Any]:
        return {"name": self.name, "kind": self.kind, "objective": self.objective, "step": self.done}


class RunSnapshot(Base):
    """What a run trains on: one snapshot, or several by weight (the share of the draws; none of them has one when all
    their examples are taken alike).  `runs.snapshot_id` is the first."""

    __tablename__ = "run_snapshots"
    run_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True)
    snapshot_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("snapshots.id", ondelete="RESTRICT"), index=True)
    weight: Mapped[float | None] = mapped_column(Double)


class RunThird(Base):
    """Another checkpoint that a run's objective asks for, by the name that it has there: a guide, a teacher."""

    __tablename__ = "run_thirds"
    run_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    checkpoint_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("checkpoints.id", ondelete="RESTRICT"), index=True)


class Metric(Base):
    """One value of one step. `at` is the byte offset of its event: it grows in the order of arrival, so a cursor over
    it misses nothing, not even an evaluation that arrives after its step."""

    __tablename__ = "metrics"
    __table_args__ = (Index("ix_metrics_run_id_at", "run_id", "at"),)
    run_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    step: Mapped[int] = mapped_column(primary_key=True)
    value: Mapped[float | None] = mapped_column(Double)
    at: Mapped[int] = mapped_column(BigInteger)


class MetricRollup(Base):
    """The finite values of a metric whose steps share `step >> 3 * level`, summed up."""

    __tablename__ = "metric_rollups"
    run_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True)
    level: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    bucket: Mapped[int] = mapped_column(primary_key=True)
    n: Mapped[int]
    mean: Mapped[float] = mapped_column(Double)
    min: Mapped[float] = mapped_column(Double)
    max: Mapped[float] = mapped_column(Double)


class RunEvent(Row, Base):
    """Something worth reading that happened in a run: a log line, a sample, an alarm, a checkpoint, its end."""

    __tablename__ = "run_events"
    __table_args__ = (Index("ix_run_events_run_id_id", "run_id", "id"),)
    run_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("runs.id", ondelete="CASCADE"))
    kind: Mapped[str]
    step: Mapped[int | None]
    payload: Mapped[dict[str, Any]]
    created_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())


class ReportToken(Row, Base):
    """A token with which a program elsewhere reports one run, and nothing else; shown once, stored as its SHA-256."""

    __tablename__ = "report_tokens"
    run_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("runs.id", ondelete="CASCADE"), index=True)
    prefix: Mapped[str]
    token_hash: Mapped[bytes] = mapped_column(LargeBinary, unique=True)
    expires_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]
    last_used_at: Mapped[datetime | None]
    created_by: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("users.id", ondelete="SET NULL"))
