"""Searches for an evaluation's prompts in what its contestants were trained on, and the prompts found there."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0033"
down_revision = "0032"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "contaminations",
        sa.Column("id", sa.Uuid(), server_default=sa.text("uuidv7()"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("project_id", sa.Uuid(), nullable=False),
        sa.Column("evaluation_id", sa.Uuid(), nullable=False),
        sa.Column("result", postgresql.JSONB(astext_type=sa.Text())),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("reason", sa.String()),
        sa.Column("remedy", sa.String()),
        sa.Column("stop_requested", sa.Boolean(), nullable=False),
        sa.Column("done", sa.Integer(), nullable=False),
        sa.Column("total", sa.Integer(), nullable=False),
        sa.Column("heartbeat_at", sa.DateTime(timezone=True)),
        sa.Column("started_at", sa.DateTime(timezone=True)),
        sa.Column("finished_at", sa.DateTime(timezone=True)),
        sa.Column("host", sa.String()),
        sa.Column("boot_id", sa.String()),
        sa.Column("pid", sa.Integer()),
        sa.Column("request_id", sa.String()),
        sa.PrimaryKeyConstraint("id", name="pk_contaminations"),
        sa.UniqueConstraint("evaluation_id", name="uq_contaminations_evaluation_id"),
        *(
            sa.ForeignKeyConstraint(
                [column], [f"{there}.id"], name=f"fk_contaminations_{column}", ondelete="CASCADE"
            )
            for column, there in (("project_id", "projects"), ("evaluation_id", "evaluations"))
        ),
    )
    for column in ("project_id", "state"):
        op.create_index(f"ix_contaminations_{column}", "contaminations", [column])
    op.create_table(
        "seen_prompts",
        sa.Column("evaluation_id", sa.Uuid(), nullable=False),
        sa.Column("prompt_hash", sa.String(64), nullable=False),
        sa.Column("checkpoint_id", sa.Uuid(), nullable=False),
        sa.Column("exact", sa.Boolean(), nullable=False),
        sa.Column("share", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("evaluation_id", "prompt_hash", "checkpoint_id", name="pk_seen_prompts"),
        *(
            sa.ForeignKeyConstraint([column], [f"{there}.id"], name=f"fk_seen_prompts_{column}", ondelete="CASCADE")
            for column, there in (("evaluation_id", "evaluations"), ("checkpoint_id", "checkpoints"))
        ),
    )
    op.create_index("ix_seen_prompts_checkpoint_id", "seen_prompts", ["checkpoint_id"])


def downgrade() -> None:
    op.drop_table("seen_prompts")
    op.drop_table("contaminations")
