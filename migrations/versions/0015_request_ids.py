"""The id of the request that asked for a piece of work."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

TABLES = ("imports", "fetches", "exports", "pushes", "runs", "evaluations", "matches")


def upgrade() -> None:
    for table in TABLES:
        op.add_column(table, sa.Column("request_id", sa.String()))


def downgrade() -> None:
    for table in TABLES:
        op.drop_column(table, "request_id")
