"""Further checkpoints that a run's objective asks for, by name."""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "run_thirds",
        sa.Column("run_id", sa.Uuid(), sa.ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("name", sa.String(), primary_key=True),
        sa.Column("checkpoint_id", sa.Uuid(), sa.ForeignKey("checkpoints.id", ondelete="RESTRICT"), nullable=False),
    )
    op.create_index("ix_run_thirds_checkpoint_id", "run_thirds", ["checkpoint_id"])


def downgrade() -> None:
    op.drop_table("run_thirds")
