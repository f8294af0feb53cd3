"""Checkpoints, downloads from a hub, runs, metrics and events."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def row(*, clock: str = "now()") -> list[sa.Column]:
    return [
        sa.Column("id", sa.Uuid(), server_default=sa.text("uuidv7()"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text(clock), nullable=False),
    ]


def work(count: type[sa.Integer] = sa.Integer) -> list[sa.Column]:
    return [
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("reason", sa.String()),
        sa.Column("remedy", sa.String()),
        sa.Column("stop_requested", sa.Boolean(), nullable=False),
        sa.Column("done", count(), nullable=False),
        sa.Column("total", count(), nullable=False),
        sa.Column("heartbeat_at", sa.DateTime(timezone=True)),
        sa.Column("started_at", sa.DateTime(timezone=True)),
        sa.Column("finished_at", sa.DateTime(timezone=True)),
        sa.Column("host", sa.String()),
        sa.Column("boot_id", sa.String()),
        sa.Column("pid", sa.Integer()),
    ]


def key(table: str, column: str, target: str, ondelete: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint([column], [f"{target}.id"], name=op.f(f"fk_{table}_{column}"), ondelete=ondelete)


def checkpoints() -> None:
    op.create_table(
        "checkpoints",
        *row(),
        sa.Column("project_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("source", sa.String(16), nullable=False),
        sa.Column("path", sa.String(), nullable=False),
        sa.Column("hub_id", sa.String()),
        sa.Column("revision", sa.String()),
        sa.Column("run_id", sa.Uuid()),
        sa.Column("parent_id", sa.Uuid()),
        sa.Column("step", sa.Integer()),
        sa.Column("adapter", sa.Boolean(), nullable=False),
        sa.Column("architecture", sa.String(), nullable=False),
        sa.Column("parameters", sa.BigInteger(), nullable=False),
        sa.Column("max_tokens", sa.Integer()),
        sa.Column("toy", sa.Boolean(), nullable=False),
        sa.Column("created_by", sa.Uuid()),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_checkpoints")),
        key("checkpoints", "project_id", "projects", "CASCADE"),
        key("checkpoints", "parent_id", "checkpoints", "SET NULL"),
        key("checkpoints", "created_by", "users", "SET NULL"),
        sa.UniqueConstraint("run_id", "step", name=op.f("uq_checkpoints_run_id_step")),
        sa.UniqueConstraint("project_id", "path", name=op.f("uq_checkpoints_project_id_path")),
    )
    op.create_index("ix_checkpoints_project_id_id", "checkpoints", ["project_id", "id"])
    for column in ("project_id", "run_id", "parent_id"):
        op.create_index(op.f(f"ix_checkpoints_{column}"), "checkpoints", [column])


def fetches() -> None:
    op.create_table(
        "fetches",
        *row(),
        sa.Column("project_id", sa.Uuid(), nullable=False),
        *work(sa.BigInteger),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("hub_id", sa.String(), nullable=False),
        sa.Column("revision", sa.String(), nullable=False),
        sa.Column("commit", sa.String()),
        sa.Column("checkpoint_id", sa.Uuid()),
        sa.Column("created_by", sa.Uuid()),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_fetches")),
        key("fetches", "project_id", "projects", "CASCADE"),
        key("fetches", "checkpoint_id", "checkpoints", "SET NULL"),
        key("fetches", "created_by", "users", "SET NULL"),
    )
    for column in ("project_id", "state"):
        op.create_index(op.f(f"ix_fetches_{column}"), "fetches", [column])


def runs() -> None:
    op.create_table(
        "runs",
        *row(),
        sa.Column("project_id", sa.Uuid(), nullable=False),
        *work(),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("spec", postgresql.JSONB(), nullable=False),
        sa.Column("objective", sa.String(), nullable=False),
        sa.Column("checkpoint_id", sa.Uuid(), nullable=False),
        sa.Column("snapshot_id", sa.Uuid(), nullable=False),
        sa.Column("reference_id", sa.Uuid()),
        sa.Column("process_group", sa.Integer()),
        sa.Column("events_offset", sa.BigInteger(), nullable=False),
        sa.Column("eta_seconds", sa.Double()),
        sa.Column("failure", sa.String()),
        sa.Column("created_by", sa.Uuid()),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_runs")),
        key("runs", "project_id", "projects", "CASCADE"),
        key("runs", "checkpoint_id", "checkpoints", "RESTRICT"),
        key("runs", "reference_id", "checkpoints", "RESTRICT"),
        key("runs", "snapshot_id", "snapshots", "RESTRICT"),
        key("runs", "created_by", "users", "SET NULL"),
    )
    op.create_index("ix_runs_project_id_id", "runs", ["project_id", "id"])
    for column in ("project_id", "checkpoint_id", "snapshot_id", "state"):
        op.create_index(op.f(f"ix_runs_{column}"), "runs", [column])
    op.create_foreign_key(op.f("fk_checkpoints_run_id"), "checkpoints", "runs", ["run_id"], ["id"], ondelete="SET NULL")


def readings() -> None:
    op.create_table(
        "metrics",
        sa.Column("run_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("step", sa.Integer(), nullable=False),
        sa.Column("value", sa.Double()),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("run_id", "name", "step", name=op.f("pk_metrics")),
        key("metrics", "run_id", "runs", "CASCADE"),
    )
    op.create_index("ix_metrics_run_id_at", "metrics", ["run_id", "at"])
    op.create_table(
        "metric_rollups",
        sa.Column("run_id", sa.Uuid(), nullable=False),
        sa.Column("level", sa.SmallInteger(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("bucket", sa.Integer(), nullable=False),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("mean", sa.Double(), nullable=False),
        sa.Column("min", sa.Double(), nullable=False),
        sa.Column("max", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("run_id", "level", "name", "bucket", name=op.f("pk_metric_rollups")),
        key("metric_rollups", "run_id", "runs", "CASCADE"),
    )
    op.create_table(
        "run_events",
        *row(clock="clock_timestamp()"),
        sa.Column("run_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("step", sa.Integer()),
        sa.Column("payload", postgresql.JSONB(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_run_events")),
        key("run_events", "run_id", "runs", "CASCADE"),
    )
    op.create_index("ix_run_events_run_id_id", "run_events", ["run_id", "id"])


def upgrade() -> None:
    checkpoints()
    fetches()
    runs()
    readings()


def downgrade() -> None:
    op.drop_constraint(op.f("fk_checkpoints_run_id"), "checkpoints", type_="foreignkey")
    for table in ("run_events", "metric_rollups", "metrics", "runs", "fetches", "checkpoints"):
        op.drop_table(table)
