"""What suggestions of labels may cost and have cost, and the verdicts that were paid for."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0034"
down_revision = "0033"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for name in ("limits", "spent"):
        op.add_column("suggestion_jobs", sa.Column(name, postgresql.JSONB(astext_type=sa.Text())))
    op.add_column("suggestion_jobs", sa.Column("taken", sa.Integer(), nullable=False, server_default="0"))
    op.alter_column("suggestion_jobs", "taken", server_default=None)
    op.create_table(
        "suggestion_verdicts",
        sa.Column("id", sa.Uuid(), server_default=sa.text("uuidv7()"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("project_id", sa.Uuid(), nullable=False),
        sa.Column("item_id", sa.Uuid(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("probability", sa.Double()),
        sa.Column("reason", sa.String()),
        sa.Column("text", sa.String()),
        sa.PrimaryKeyConstraint("id", name="pk_suggestion_verdicts"),
        sa.UniqueConstraint("project_id", "key", name="uq_suggestion_verdicts_project_id_key"),
        *(
            sa.ForeignKeyConstraint(
                [column], [f"{there}.id"], name=f"fk_suggestion_verdicts_{column}", ondelete="CASCADE"
            )
            for column, there in (("project_id", "projects"), ("item_id", "items"))
        ),
    )
    for column in ("project_id", "item_id"):
        op.create_index(f"ix_suggestion_verdicts_{column}", "suggestion_verdicts", [column])


def downgrade() -> None:
    op.drop_table("suggestion_verdicts")
    for name in ("limits", "spent", "taken"):
        op.drop_column("suggestion_jobs", name)
