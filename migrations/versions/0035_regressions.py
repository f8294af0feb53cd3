"""Prompt checks, checks for regressions, and what evaluations and runs keep for them."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0035"
down_revision = "0034"
branch_labels = None
depends_on = None

JSONB = postgresql.JSONB(astext_type=sa.Text())
COLUMNS = (("matches", "expects"), ("evaluations", "harness"), ("evaluations", "measured"), ("runs", "guard"))


def upgrade() -> None:
    op.create_table(
        "prompt_checks",
        *_row(),
        sa.Column("category", sa.String(), nullable=False),
        sa.Column("prompt", JSONB, nullable=False),
        sa.Column("prompt_hash", sa.String(64), nullable=False),
        sa.Column("expects", JSONB, nullable=False),
        sa.Column("created_by", sa.Uuid()),
        sa.PrimaryKeyConstraint("id", name="pk_prompt_checks"),
        *_keys("prompt_checks", ("project_id", "projects", "CASCADE"), ("created_by", "users", "SET NULL")),
        sa.UniqueConstraint("project_id", "category", "prompt_hash", name="uq_prompt_checks_project_id_category_prompt_hash"),
    )
    op.create_index("ix_prompt_checks_project_id", "prompt_checks", ["project_id"])
    op.create_table(
        "regressions",
        *_row(),
        sa.Column("run_id", sa.Uuid(), nullable=False),
        sa.Column("evaluation_id", sa.Uuid(), nullable=False),
        sa.Column("margin", sa.Double(), nullable=False),
        sa.Column("level", sa.Double(), nullable=False),
        sa.Column("result", JSONB),
        sa.Column("mark", sa.String()),
        sa.Column("created_by", sa.Uuid()),
        sa.PrimaryKeyConstraint("id", name="pk_regressions"),
        *_keys(
            "regressions",
            ("project_id", "projects", "CASCADE"),
            ("run_id", "runs", "CASCADE"),
            ("evaluation_id", "evaluations", "CASCADE"),
            ("created_by", "users", "SET NULL"),
        ),
        sa.UniqueConstraint("evaluation_id", name="uq_regressions_evaluation_id"),
    )
    op.create_index("ix_regressions_project_id", "regressions", ["project_id"])
    op.create_index("ix_regressions_run_id_id", "regressions", ["run_id", "id"])
    for table, column in COLUMNS:
        op.add_column(table, sa.Column(column, JSONB))


def downgrade() -> None:
    for table, column in reversed(COLUMNS):
        op.drop_column(table, column)
    op.drop_table("regressions")
    op.drop_table("prompt_checks")


def _row() -> tuple[sa.Column[object], ...]:
    return (
        sa.Column("id", sa.Uuid(), server_default=sa.text("uuidv7()"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("project_id", sa.Uuid(), nullable=False),
    )


def _keys(table: str, *keys: tuple[str, str, str]) -> list[sa.ForeignKeyConstraint]:
    return [
        sa.ForeignKeyConstraint([column], [f"{there}.id"], name=f"fk_{table}_{column}", ondelete=then)
        for column, there, then in keys
    ]
