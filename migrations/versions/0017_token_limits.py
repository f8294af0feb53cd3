"""API tokens that expire, and tokens that only read."""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("api_tokens", sa.Column("read_only", sa.Boolean(), server_default=sa.false(), nullable=False))
    op.alter_column("api_tokens", "read_only", server_default=None)
    op.add_column("api_tokens", sa.Column("expires_at", sa.DateTime(timezone=True)))


def downgrade() -> None:
    op.drop_column("api_tokens", "expires_at")
    op.drop_column("api_tokens", "read_only")
