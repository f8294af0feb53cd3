"""Checkpoints that score responses beside those that write them."""

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("checkpoints", sa.Column("kind", sa.String(16), server_default="language_model", nullable=False))
    op.alter_column("checkpoints", "kind", server_default=None)


def downgrade() -> None:
    op.drop_column("checkpoints", "kind")
