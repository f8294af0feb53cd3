"""What is compared: categories of prompts, matches and verdicts found by filters, scores of tokens."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("matches", sa.Column("category", sa.String()))
    op.create_index("ix_matches_evaluation_id_id", "matches", ["evaluation_id", "id"])
    op.create_table(
        "token_scores",
        sa.Column("id", sa.Uuid(), server_default=sa.text("uuidv7()"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("project_id", sa.Uuid(), nullable=False),
        sa.Column("match_id", sa.Uuid(), nullable=False),
        sa.Column("side", sa.String(1), nullable=False),
        sa.Column("reference_id", sa.Uuid(), nullable=False),
        sa.Column("result", postgresql.JSONB(none_as_null=True, astext_type=sa.Text())),
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
        sa.PrimaryKeyConstraint("id", name="pk_token_scores"),
        sa.UniqueConstraint("match_id", "side", "reference_id", name="uq_token_scores_match_id_side_reference_id"),
        *(
            sa.ForeignKeyConstraint([column], [f"{there}.id"], name=f"fk_token_scores_{column}", ondelete=then)
            for column, there, then in (
                ("project_id", "projects", "CASCADE"),
                ("match_id", "matches", "CASCADE"),
                ("reference_id", "checkpoints", "CASCADE"),
                ("created_by", "users", "SET NULL"),
            )
        ),
    )
    for column in ("project_id", "reference_id", "state"):
        op.create_index(f"ix_token_scores_{column}", "token_scores", [column])


def downgrade() -> None:
    op.drop_table("token_scores")
    op.drop_index("ix_matches_evaluation_id_id", "matches")
    op.drop_column("matches", "category")
