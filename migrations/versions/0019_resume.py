"""Runs that go on: from which step, on which machine, and where in its events a run was taken back."""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("runs", sa.Column("state_step", sa.Integer()))
    op.add_column("runs", sa.Column("state_host", sa.String()))
    op.add_column("runs", sa.Column("rewound_at", sa.BigInteger()))


def downgrade() -> None:
    for column in ("rewound_at", "state_host", "state_step"):
        op.drop_column("runs", column)
