"""What measuring a judge on labelled pairs may cost and has cost."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0038"
down_revision = "0037"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for name in ("limits", "spent"):
        op.add_column("accuracies", sa.Column(name, postgresql.JSONB(astext_type=sa.Text())))


def downgrade() -> None:
    for name in ("limits", "spent"):
        op.drop_column("accuracies", name)
