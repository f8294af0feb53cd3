"""Work that suggests labels, and the scores of single responses until their median is known."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0031"
down_revision = "0030"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "suggestion_jobs",
        sa.Column("id", sa.Uuid(), server_default=sa.text("uuidv7()"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("project_id", sa.Uuid(), nullable=False),
        sa.Column("task_id", sa.Uuid(), nullable=False),
        sa.Column("judge", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("words", sa.String(), nullable=False),
        sa.Column("at", sa.Integer(), nullable=False),
        sa.Column("suggested", sa.Integer(), nullable=False),
        sa.Column("left_out", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("median", sa.Double()),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("created_by", sa.Uuid()),
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
        sa.PrimaryKeyConstraint("id", name="pk_suggestion_jobs"),
        *(
            sa.ForeignKeyConstraint([column], [f"{there}.id"], name=f"fk_suggestion_jobs_{column}", ondelete=then)
            for column, there, then in (
                ("project_id", "projects", "CASCADE"),
                ("task_id", "tasks", "CASCADE"),
                ("created_by", "users", "SET NULL"),
            )
        ),
    )
    for column in ("project_id", "state"):
        op.create_index(f"ix_suggestion_jobs_{column}", "suggestion_jobs", [column])
    op.create_index("ix_suggestion_jobs_task_id_id", "suggestion_jobs", ["task_id", "id"])
    op.create_table(
        "suggestion_scores",
        sa.Column("job_id", sa.Uuid(), nullable=False),
        sa.Column("item_id", sa.Uuid(), nullable=False),
        sa.Column("score", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("job_id", "item_id", name="pk_suggestion_scores"),
        sa.ForeignKeyConstraint(
            ["job_id"], ["suggestion_jobs.id"], name="fk_suggestion_scores_job_id", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["item_id"], ["items.id"], name="fk_suggestion_scores_item_id", ondelete="CASCADE"),
    )
    op.create_index("ix_suggestion_scores_item_id", "suggestion_scores", ["item_id"])


def downgrade() -> None:
    op.drop_table("suggestion_scores")
    op.drop_table("suggestion_jobs")
