"""Evaluations, matches, verdicts, and the items that matches became."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def create(table: str, *columns: sa.Column) -> None:
    """A table with the columns of every noun."""
    op.create_table(
        table,
        sa.Column("id", sa.Uuid(), server_default=sa.text("uuidv7()"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("project_id", sa.Uuid(), nullable=False),
        *columns,
        sa.PrimaryKeyConstraint("id", name=f"pk_{table}"),
        belongs(table, "project_id", "projects"),
    )
    op.create_index(f"ix_{table}_project_id", table, ["project_id"])


def belongs(table: str, column: str, to: str, ondelete: str = "CASCADE") -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint([column], [f"{to}.id"], name=f"fk_{table}_{column}", ondelete=ondelete)


def work() -> list[sa.Column]:
    return [
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
    ]


def upgrade() -> None:
    create(
        "evaluations",
        *work(),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("contestants", postgresql.JSONB(), nullable=False),
        sa.Column("prompts", postgresql.JSONB(), nullable=False),
        sa.Column("judge", postgresql.JSONB(), nullable=False),
        sa.Column("sampling", postgresql.JSONB(), nullable=False),
        sa.Column("seed", sa.Integer(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("created_by", sa.Uuid()),
        belongs("evaluations", "created_by", "users", "SET NULL"),
    )
    op.create_index("ix_evaluations_state", "evaluations", ["state"])
    create(
        "matches",
        *work(),
        sa.Column("evaluation_id", sa.Uuid()),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("prompt", postgresql.JSONB(), nullable=False),
        sa.Column("prompt_hash", sa.String(64), nullable=False),
        sa.Column("checkpoint_a", sa.Uuid(), nullable=False),
        sa.Column("checkpoint_b", sa.Uuid(), nullable=False),
        sa.Column("response_a", postgresql.JSONB()),
        sa.Column("response_b", postgresql.JSONB()),
        sa.Column("sampling", postgresql.JSONB(), nullable=False),
        sa.Column("seed", sa.Integer(), nullable=False),
        sa.Column("created_by", sa.Uuid()),
        belongs("matches", "evaluation_id", "evaluations"),
        belongs("matches", "checkpoint_a", "checkpoints"),
        belongs("matches", "checkpoint_b", "checkpoints"),
        belongs("matches", "created_by", "users", "SET NULL"),
        sa.UniqueConstraint(
            "evaluation_id",
            "position",
            "checkpoint_a",
            "checkpoint_b",
            name="uq_matches_evaluation_id_position_checkpoint_a_checkpoint_b",
        ),
    )
    for column in ("state", "checkpoint_a", "checkpoint_b", "created_by"):
        op.create_index(f"ix_matches_{column}", "matches", [column])
    create(
        "verdicts",
        sa.Column("match_id", sa.Uuid(), nullable=False),
        sa.Column("source", sa.String(16), nullable=False),
        sa.Column("judge", sa.String()),
        sa.Column("annotator_id", sa.Uuid()),
        sa.Column("swapped", sa.Boolean(), nullable=False),
        sa.Column("probability", sa.Float()),
        sa.Column("reason", sa.String()),
        sa.Column("value", postgresql.JSONB()),
        sa.Column("scores", postgresql.JSONB()),
        sa.Column("text", sa.String()),
        sa.Column("seconds", sa.Float()),
        sa.Column("client_id", sa.Uuid()),
        belongs("verdicts", "match_id", "matches"),
        belongs("verdicts", "annotator_id", "users", "SET NULL"),
        sa.UniqueConstraint("client_id", name="uq_verdicts_client_id"),
    )
    for column in ("match_id", "annotator_id"):
        op.create_index(f"ix_verdicts_{column}", "verdicts", [column])
    for name, columns, source in (
        ("uq_verdicts_match_id_annotator_id", ["match_id", "annotator_id"], "person"),
        ("uq_verdicts_match_id_judge_swapped", ["match_id", "judge", "swapped"], "judge"),
    ):
        where = sa.text(f"source = '{source}'")
        op.create_index(name, "verdicts", columns, unique=True, postgresql_where=where)
    op.create_table(
        "match_items",
        sa.Column("match_id", sa.Uuid(), nullable=False),
        sa.Column("dataset_id", sa.Uuid(), nullable=False),
        sa.Column("item_id", sa.Uuid(), nullable=False),
        sa.PrimaryKeyConstraint("match_id", "dataset_id", name="pk_match_items"),
        belongs("match_items", "match_id", "matches"),
        belongs("match_items", "dataset_id", "datasets"),
        belongs("match_items", "item_id", "items"),
    )
    op.create_index("ix_match_items_item_id", "match_items", ["item_id"])


def downgrade() -> None:
    for table in ("match_items", "verdicts", "matches", "evaluations"):
        op.drop_table(table)
