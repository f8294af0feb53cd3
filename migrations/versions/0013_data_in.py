"""Data from a hub and from server folders, surveys of labelling tools, files removed after an import, mixtures of runs."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("uploads", sa.Column("origin", postgresql.JSONB(), nullable=False, server_default='{"kind": "file"}'))
    op.alter_column("uploads", "origin", server_default=None)
    op.add_column("uploads", sa.Column("removed_at", sa.DateTime(timezone=True)))
    op.create_index(op.f("ix_uploads_project_id_sha256"), "uploads", ["project_id", "sha256"])
    op.add_column("imports", sa.Column("survey", postgresql.JSONB()))
    op.create_table(
        "run_snapshots",
        sa.Column("run_id", sa.Uuid(), sa.ForeignKey("runs.id", ondelete="CASCADE"), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("snapshot_id", sa.Uuid(), sa.ForeignKey("snapshots.id", ondelete="RESTRICT"), nullable=False),
        sa.Column("weight", sa.Double(), nullable=True),
        sa.PrimaryKeyConstraint("run_id", "position"),
    )
    op.create_index(op.f("ix_run_snapshots_snapshot_id"), "run_snapshots", ["snapshot_id"])
    op.execute(
        "INSERT INTO run_snapshots (run_id, position, snapshot_id, weight) SELECT id, 0, snapshot_id, NULL FROM runs"
    )


def downgrade() -> None:
    op.drop_table("run_snapshots")
    op.drop_column("imports", "survey")
    op.drop_index(op.f("ix_uploads_project_id_sha256"), "uploads")
    op.drop_column("uploads", "removed_at")
    op.drop_column("uploads", "origin")
