"""Rules of what a project keeps; checkpoints that are pinned or were removed; sizes of what lies in the storage."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "retention_rules",
        sa.Column("id", sa.Uuid(), server_default=sa.text("uuidv7()"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("project_id", sa.Uuid(), sa.ForeignKey("projects.id", ondelete="CASCADE"), nullable=False),
        sa.Column("last_checkpoints", sa.Integer(), nullable=True),
        sa.Column("failed_days", sa.Integer(), nullable=True),
        sa.Column("answers_days", sa.Integer(), nullable=True),
        sa.Column("exports_days", sa.Integer(), nullable=True),
        sa.Column("set_by", sa.Uuid(), sa.ForeignKey("users.id", ondelete="SET NULL"), nullable=True),
        sa.Column("set_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(op.f("ix_retention_rules_project_id"), "retention_rules", ["project_id"], unique=True)
    op.add_column("checkpoints", sa.Column("pinned", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.alter_column("checkpoints", "pinned", server_default=None)
    op.add_column("checkpoints", sa.Column("removed_at", sa.DateTime(timezone=True)))
    op.add_column("checkpoints", sa.Column("removed_by", sa.String()))
    op.add_column("checkpoints", sa.Column("bytes", sa.BigInteger()))
    op.add_column("snapshots", sa.Column("bytes", sa.BigInteger()))


def downgrade() -> None:
    op.drop_column("snapshots", "bytes")
    for name in ("bytes", "removed_by", "removed_at", "pinned"):
        op.drop_column("checkpoints", name)
    op.drop_table("retention_rules")
