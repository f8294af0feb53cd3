"""Counts that are kept instead of counted, labels that know their dataset, and indexes that lists are read from."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

LISTED = ("datasets", "imports", "snapshots", "evaluations", "fetches", "exports", "pushes")
COUNT = """
WITH each AS (
    SELECT *, coalesce(annotator_id::text, value ->> 'annotator', id::text) AS who FROM labels
), newest AS (
    SELECT DISTINCT ON (item_id, who) * FROM each ORDER BY item_id, who, version DESC
), judged AS (
    SELECT * FROM newest WHERE NOT value ? 'retracted' AND NOT value ? 'skip'
), closed AS (
    UPDATE items SET judged = true WHERE id IN (SELECT item_id FROM judged WHERE annotator_id IS NOT NULL)
)
INSERT INTO tallies (dataset_id, annotator_id, source, labels, labelled, by_people, by_person)
SELECT dataset_id, annotator_id, source, count(*), 0, 0, 0 FROM labels GROUP BY dataset_id, annotator_id, source
UNION ALL
SELECT dataset_id, NULL, 'import', 0, count(DISTINCT item_id),
    count(DISTINCT item_id) FILTER (WHERE annotator_id IS NOT NULL), 0
FROM judged GROUP BY dataset_id
UNION ALL
SELECT dataset_id, annotator_id, 'person', 0, 0, 0, count(DISTINCT item_id)
FROM judged WHERE annotator_id IS NOT NULL GROUP BY dataset_id, annotator_id
"""


def upgrade() -> None:
    for table in LISTED:
        op.create_index(f"ix_{table}_project_id_id", table, ["project_id", "id"])
    op.drop_index("ix_matches_created_by", "matches")
    op.create_index("ix_matches_created_by_id", "matches", ["created_by", "id"])
    op.add_column("datasets", sa.Column("splits", postgresql.JSONB(), nullable=False, server_default="{}"))
    op.alter_column("datasets", "splits", server_default=None)
    op.add_column("items", sa.Column("judged", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("labels", sa.Column("dataset_id", sa.Uuid()))
    op.create_table(
        "tallies",
        sa.Column("id", sa.Uuid(), server_default=sa.text("uuidv7()"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("dataset_id", sa.Uuid(), sa.ForeignKey("datasets.id", ondelete="CASCADE"), nullable=False),
        sa.Column("annotator_id", sa.Uuid(), sa.ForeignKey("users.id"), nullable=True),
        sa.Column("source", sa.String(16), nullable=False),
        sa.Column("labels", sa.Integer(), nullable=False),
        sa.Column("labelled", sa.Integer(), nullable=False),
        sa.Column("by_people", sa.Integer(), nullable=False),
        sa.Column("by_person", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_tallies_dataset_id", "tallies", ["dataset_id"])
    _fill()
    op.alter_column("labels", "dataset_id", nullable=False)
    op.create_index("ix_labels_dataset_id_id", "labels", ["dataset_id", "id"])
    op.create_index(
        "ix_labels_annotator_id_dataset_id_id",
        "labels",
        ["annotator_id", "dataset_id", "id"],
        postgresql_where=sa.text("annotator_id IS NOT NULL"),
    )
    op.create_index(
        "ix_labels_skips", "labels", ["annotator_id", "dataset_id"], postgresql_where=sa.text("value ? 'skip'")
    )
    op.create_index("ix_items_open", "items", ["dataset_id", "position"], postgresql_where=sa.text("NOT judged"))


def _fill() -> None:
    """What there is, counted once."""
    op.execute("UPDATE labels SET dataset_id = items.dataset_id FROM items WHERE items.id = labels.item_id")
    op.execute(
        "UPDATE datasets SET splits = counted.splits FROM ("
        " SELECT dataset_id, jsonb_object_agg(split, n) AS splits FROM"
        " (SELECT dataset_id, split, count(*) AS n FROM items GROUP BY dataset_id, split) AS each GROUP BY dataset_id"
        ") AS counted WHERE counted.dataset_id = datasets.id"
    )
    op.execute(COUNT)


def downgrade() -> None:
    op.drop_index("ix_items_open", "items")
    for index in ("ix_labels_skips", "ix_labels_annotator_id_dataset_id_id", "ix_labels_dataset_id_id"):
        op.drop_index(index, "labels")
    op.drop_table("tallies")
    op.drop_column("labels", "dataset_id")
    op.drop_column("items", "judged")
    op.drop_column("datasets", "splits")
    op.drop_index("ix_matches_created_by_id", "matches")
    op.create_index("ix_matches_created_by", "matches", ["created_by"])
    for table in LISTED:
        op.drop_index(f"ix_{table}_project_id_id", table)
