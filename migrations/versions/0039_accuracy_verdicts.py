"""What a judge said of labelled pairs, a row for each verdict."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0039"
down_revision = "0038"
branch_labels = None
depends_on = None

# An entry was [item, swapped, probability, reason].
ROWS = """
INSERT INTO accuracy_verdicts (accuracy_id, voice, item_id, swapped, probability, reason)
SELECT accuracies.id, voice, CAST(verdict ->> 0 AS uuid), CAST(verdict ->> 1 AS boolean),
    CAST(verdict ->> 2 AS double precision), verdict ->> 3
FROM accuracies, jsonb_each(accuracies.said) AS told (voice, verdicts),
    jsonb_array_elements(CASE jsonb_typeof(verdicts) WHEN 'array' THEN verdicts ELSE '[]' END) AS each (verdict)
WHERE jsonb_typeof(verdict) = 'array'
ON CONFLICT DO NOTHING
"""
BACK = """
UPDATE accuracies SET said = told.said FROM (
    SELECT accuracy_id, jsonb_object_agg(voice, verdicts) AS said FROM (
        SELECT accuracy_id, voice, jsonb_agg(jsonb_build_array(item_id, swapped, probability, reason)) AS verdicts
        FROM accuracy_verdicts GROUP BY accuracy_id, voice
    ) AS voices GROUP BY accuracy_id
) AS told WHERE told.accuracy_id = accuracies.id
"""


def upgrade() -> None:
    op.create_table(
        "accuracy_verdicts",
        sa.Column("accuracy_id", sa.Uuid(), nullable=False),
        sa.Column("voice", sa.String(), nullable=False),
        sa.Column("item_id", sa.Uuid(), nullable=False),
        sa.Column("swapped", sa.Boolean(), nullable=False),
        sa.Column("probability", sa.Double()),
        sa.Column("reason", sa.String()),
        sa.PrimaryKeyConstraint("accuracy_id", "voice", "item_id", "swapped", name="pk_accuracy_verdicts"),
        sa.ForeignKeyConstraint(
            ["accuracy_id"], ["accuracies.id"], name="fk_accuracy_verdicts_accuracy_id", ondelete="CASCADE"
        ),
    )
    op.execute(ROWS)
    op.drop_column("accuracies", "said")


def downgrade() -> None:
    op.add_column(
        "accuracies",
        sa.Column("said", postgresql.JSONB(astext_type=sa.Text()), nullable=False, server_default="{}"),
    )
    op.alter_column("accuracies", "said", server_default=None)
    op.execute(BACK)
    op.drop_table("accuracy_verdicts")
