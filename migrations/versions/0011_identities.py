"""Identities of people at a sign-in provider; the devices that a run trained on."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "identities",
        sa.Column("id", sa.Uuid(), server_default=sa.text("uuidv7()"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("email", sa.String(), nullable=False),
        sa.Column("issuer", sa.String()),
        sa.Column("subject", sa.String()),
        sa.Column("last_used_at", sa.DateTime(timezone=True)),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_identities_user_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_identities")),
        sa.UniqueConstraint("issuer", "subject", name=op.f("uq_identities_issuer_subject")),
    )
    op.create_index(op.f("ix_identities_user_id"), "identities", ["user_id"])
    op.create_index("ix_identities_expected", "identities", ["email"], unique=True, postgresql_where="subject IS NULL")
    op.add_column("users", sa.Column("erased_at", sa.DateTime(timezone=True)))
    op.add_column("runs", sa.Column("device", sa.String()))
    op.add_column("runs", sa.Column("devices", sa.Integer(), nullable=False, server_default="1"))
    op.alter_column("runs", "devices", server_default=None)


def downgrade() -> None:
    op.drop_column("runs", "devices")
    op.drop_column("runs", "device")
    op.drop_column("users", "erased_at")
    op.drop_table("identities")
