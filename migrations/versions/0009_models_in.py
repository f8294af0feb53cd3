"""Checkpoints that are endpoints or were given a chat template; downloads that go on where they stopped."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("checkpoints", sa.Column("endpoint", postgresql.JSONB()))
    op.add_column("checkpoints", sa.Column("own_template", sa.Boolean(), nullable=False, server_default=sa.true()))
    op.alter_column("checkpoints", "own_template", server_default=None)
    op.add_column("checkpoints", sa.Column("template", sa.String()))
    op.add_column("checkpoints", sa.Column("license", sa.String()))
    op.add_column("fetches", sa.Column("secret", sa.String()))
    op.add_column("fetches", sa.Column("template", sa.String()))
    op.add_column("fetches", sa.Column("license", sa.String()))
    op.add_column("fetches", sa.Column("attempts", sa.Integer(), nullable=False, server_default="0"))
    op.alter_column("fetches", "attempts", server_default=None)


def downgrade() -> None:
    op.execute("DELETE FROM checkpoints WHERE source = 'endpoint'")
    for column in ("attempts", "license", "template", "secret"):
        op.drop_column("fetches", column)
    for column in ("license", "template", "own_template", "endpoint"):
        op.drop_column("checkpoints", column)
