"""Tasks: questions with an overlap, an order and people, known answers, and labels that say to which they belong."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None

JSONB = postgresql.JSONB(astext_type=sa.Text())
QUESTION = (
    '{"kind": "pair", "scale": "strength", "both_bad": true, "aspects": [], "rationale": "optional", "edits": false}'
)
# Cards that lie in browsers belong to the standing task of their dataset from now on.
STANDING = f"""
INSERT INTO tasks (project_id, dataset_id, name, question, standing)
SELECT project_id, id, name, '{QUESTION}', true FROM datasets
WHERE id IN (SELECT items.dataset_id FROM leases JOIN items ON items.id = leases.item_id)
"""  # noqa: S608  (nothing of others goes in)
LEASED = """
UPDATE leases SET task_id = tasks.id FROM items, tasks
WHERE items.id = leases.item_id AND tasks.dataset_id = items.dataset_id
"""


def key(table: str, column: str, other: str, ondelete: str = "CASCADE") -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint([column], [f"{other}.id"], name=f"fk_{table}_{column}", ondelete=ondelete)


def row(table: str) -> list[sa.Column[object] | sa.Constraint]:
    return [
        sa.Column("id", sa.Uuid(), server_default=sa.text("uuidv7()"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("project_id", sa.Uuid(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=f"pk_{table}"),
        key(table, "project_id", "projects"),
    ]


def upgrade() -> None:
    _tasks()
    _places()
    _golds()
    op.add_column("items", sa.Column("withdrawn_at", sa.DateTime(timezone=True)))
    op.create_index("ix_items_dataset_id_prompt_hash", "items", ["dataset_id", "prompt_hash"])
    op.create_index("ix_items_withdrawn", "items", ["dataset_id"], postgresql_where=sa.text("withdrawn_at IS NOT NULL"))
    _labels()
    _leases()
    op.add_column("tallies", sa.Column("task_id", sa.Uuid()))
    for name in ("done", "given", "pending", "skipped"):
        op.add_column("tallies", sa.Column(name, sa.Integer(), server_default="0", nullable=False))
    op.create_foreign_key("fk_tallies_task_id", "tallies", "tasks", ["task_id"], ["id"], ondelete="CASCADE")
    op.create_index("ix_tallies_task_id", "tallies", ["task_id"])


def _tasks() -> None:
    op.create_table(
        "tasks",
        *row("tasks"),
        sa.Column("dataset_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("question", JSONB, nullable=False),
        sa.Column("guidelines", sa.Text(), server_default="", nullable=False),
        sa.Column("overlap", sa.Integer(), server_default="1", nullable=False),
        sa.Column("gold_share", sa.Float(), server_default="0", nullable=False),
        sa.Column("order", sa.String(16), server_default="sequential", nullable=False),
        sa.Column("seed", sa.Integer(), server_default="0", nullable=False),
        sa.Column("deadline", sa.DateTime(timezone=True)),
        sa.Column("assistance", JSONB),
        sa.Column("standing", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("filled", sa.Integer(), server_default="0", nullable=False),
        sa.Column("closed_at", sa.DateTime(timezone=True)),
        sa.Column("created_by", sa.Uuid()),
        key("tasks", "dataset_id", "datasets"),
        key("tasks", "created_by", "users", "SET NULL"),
    )
    op.create_index("ix_tasks_project_id", "tasks", ["project_id"])
    op.create_index("ix_tasks_project_id_id", "tasks", ["project_id", "id"])
    op.create_index("ix_tasks_dataset_id", "tasks", ["dataset_id"])
    op.create_index("uq_tasks_standing", "tasks", ["dataset_id"], unique=True, postgresql_where=sa.text("standing"))
    op.execute(STANDING)
    for name in ("guidelines", "overlap", "gold_share", "order", "seed"):
        op.alter_column("tasks", name, server_default=None)
    op.create_table(
        "task_people",
        sa.Column("task_id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.PrimaryKeyConstraint("task_id", "user_id", name="pk_task_people"),
        key("task_people", "task_id", "tasks"),
        key("task_people", "user_id", "users"),
    )
    op.create_index("ix_task_people_user_id", "task_people", ["user_id"])


def _places() -> None:
    op.create_table(
        "places",
        sa.Column("task_id", sa.Uuid(), nullable=False),
        sa.Column("item_id", sa.Uuid(), nullable=False),
        sa.Column("rank", sa.Float(), nullable=False),
        sa.Column("taken", sa.Integer(), server_default="0", nullable=False),
        sa.Column("open", sa.Boolean(), server_default=sa.true(), nullable=False),
        sa.Column("gold", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.PrimaryKeyConstraint("task_id", "item_id", name="pk_places"),
        key("places", "task_id", "tasks"),
        key("places", "item_id", "items"),
    )
    op.create_index("ix_places_item_id", "places", ["item_id"])
    op.create_index("ix_places_open", "places", ["task_id", "rank", "item_id"], postgresql_where=sa.text("open"))
    op.create_index("ix_places_gold", "places", ["task_id"], postgresql_where=sa.text("gold"))
    op.create_table(
        "shares",
        sa.Column("task_id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("at_rank", sa.Float()),
        sa.Column("at_item", sa.Uuid()),
        sa.Column("low_rank", sa.Float()),
        sa.Column("low_item", sa.Uuid()),
        sa.Column("dealt", sa.Integer(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("task_id", "user_id", name="pk_shares"),
        key("shares", "task_id", "tasks"),
        key("shares", "user_id", "users"),
    )
    op.create_index("ix_shares_user_id", "shares", ["user_id"])


def _golds() -> None:
    op.create_table(
        "golds",
        *row("golds"),
        sa.Column("dataset_id", sa.Uuid(), nullable=False),
        sa.Column("item_id", sa.Uuid(), nullable=False),
        sa.Column("value", JSONB, nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("created_by", sa.Uuid()),
        sa.UniqueConstraint("item_id", name="uq_golds_item_id"),
        key("golds", "dataset_id", "datasets"),
        key("golds", "item_id", "items"),
        key("golds", "created_by", "users", "SET NULL"),
    )
    op.create_index("ix_golds_project_id", "golds", ["project_id"])
    op.create_index("ix_golds_dataset_id", "golds", ["dataset_id"])


def _labels() -> None:
    op.add_column("labels", sa.Column("task_id", sa.Uuid()))
    op.add_column("labels", sa.Column("surplus", sa.Boolean(), server_default=sa.false(), nullable=False))
    op.add_column("labels", sa.Column("aspects", JSONB))
    op.add_column("labels", sa.Column("aided", JSONB))
    op.add_column("labels", sa.Column("digest", sa.String(64)))
    op.create_foreign_key("fk_labels_task_id", "labels", "tasks", ["task_id"], ["id"], ondelete="CASCADE")
    op.create_index(
        "ix_labels_task_id_id", "labels", ["task_id", "id"], postgresql_where=sa.text("task_id IS NOT NULL")
    )


def _leases() -> None:
    op.add_column("leases", sa.Column("task_id", sa.Uuid()))
    op.add_column("leases", sa.Column("number", sa.Integer(), server_default="0", nullable=False))
    op.add_column("leases", sa.Column("suggestion", JSONB))
    op.execute(LEASED)
    op.alter_column("leases", "task_id", nullable=False)
    op.create_foreign_key("fk_leases_task_id", "leases", "tasks", ["task_id"], ["id"], ondelete="CASCADE")
    op.drop_constraint("uq_leases_item_id_annotator_id", "leases")
    op.create_unique_constraint(
        "uq_leases_item_id_task_id_annotator_id", "leases", ["item_id", "task_id", "annotator_id"]
    )
    op.drop_index("ix_leases_annotator_id", "leases")
    op.create_index("ix_leases_annotator_id_expires_at", "leases", ["annotator_id", "expires_at"])
    op.create_index("ix_leases_task_id", "leases", ["task_id"])


def downgrade() -> None:
    op.drop_index("ix_leases_annotator_id_expires_at", "leases")
    op.create_index("ix_leases_annotator_id", "leases", ["annotator_id"])
    op.drop_constraint("uq_leases_item_id_task_id_annotator_id", "leases")
    op.execute("DELETE FROM leases")
    op.create_unique_constraint("uq_leases_item_id_annotator_id", "leases", ["item_id", "annotator_id"])
    op.drop_index("ix_items_dataset_id_prompt_hash", "items")
    for table, columns in {
        "tallies": ("task_id", "done", "given", "pending", "skipped"),
        "leases": ("task_id", "number", "suggestion"),
        "labels": ("task_id", "surplus", "aspects", "aided", "digest"),
        "items": ("withdrawn_at",),
    }.items():
        for column in columns:
            op.drop_column(table, column)
    for table in ("golds", "shares", "places", "task_people", "tasks"):
        op.drop_table(table)
