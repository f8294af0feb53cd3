"""Datasets that were made of others say of which, and by which rule."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("datasets", sa.Column("made_from", postgresql.JSONB(astext_type=sa.Text())))


def downgrade() -> None:
    op.drop_column("datasets", "made_from")
