"""Answers and verdicts are known by their content, and evaluations by what they may cost and have cost."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0029"
down_revision = "0028"
branch_labels = None
depends_on = None

KEYS = (("matches", "key_a"), ("matches", "key_b"), ("verdicts", "key"))


def upgrade() -> None:
    for table, name in KEYS:
        op.add_column(table, sa.Column(name, sa.String(64)))
        known = sa.text(f"{name} IS NOT NULL")
        op.create_index(f"ix_{table}_{name}", table, [name], postgresql_where=known)
    op.add_column("evaluations", sa.Column("pairing", sa.String()))
    op.add_column("evaluations", sa.Column("reuse", sa.Boolean()))
    for name in ("taken", "limits", "spent"):
        op.add_column("evaluations", sa.Column(name, postgresql.JSONB()))


def downgrade() -> None:
    for name in ("spent", "limits", "taken", "reuse", "pairing"):
        op.drop_column("evaluations", name)
    for table, name in KEYS:
        op.drop_index(f"ix_{table}_{name}", table)
        op.drop_column(table, name)
