"""What a judge said of labelled pairs, a row for each verdict: how probable it is that the item's first response wins.

Before, it was said of the response that people preferred then. Which one that was is written nowhere, and labels may have
changed since, so those verdicts are dropped in either direction: finished work keeps its result, and needs no more; work
that is not finished starts anew, its pairs are asked again.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0039"
down_revision = "0038"
branch_labels = None
depends_on = None

UNDECIDED = "UPDATE accuracies SET done = 0 WHERE state <> 'succeeded'"


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
    op.execute(UNDECIDED)
    op.drop_column("accuracies", "said")


def downgrade() -> None:
    op.add_column(
        "accuracies",
        sa.Column("said", postgresql.JSONB(astext_type=sa.Text()), nullable=False, server_default="{}"),
    )
    op.alter_column("accuracies", "said", server_default=None)
    op.execute(UNDECIDED)
    op.drop_table("accuracy_verdicts")
