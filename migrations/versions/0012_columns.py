"""An import keeps the mapping of columns by which its file is read."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("imports", sa.Column("columns", postgresql.JSONB()))


def downgrade() -> None:
    op.drop_column("imports", "columns")
