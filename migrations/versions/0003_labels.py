"""Labels and leases."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def row(table: str) -> list[sa.schema.SchemaItem]:
    return [
        sa.Column("id", sa.Uuid(), server_default=sa.text("uuidv7()"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("project_id", sa.Uuid(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f(f"pk_{table}")),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.id"], name=op.f(f"fk_{table}_project_id"), ondelete="CASCADE"
        ),
    ]


def upgrade() -> None:
    op.create_table(
        "labels",
        *row("labels"),
        sa.Column("item_id", sa.Uuid(), nullable=False),
        sa.Column("annotator_id", sa.Uuid()),
        sa.Column("source", sa.String(16), nullable=False),
        sa.Column("kind", sa.String(), server_default="pair", nullable=False),
        sa.Column("value", postgresql.JSONB(), nullable=False),
        sa.Column("swapped", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("seconds", sa.Float()),
        sa.Column("rationale", sa.Text()),
        sa.Column("client_id", sa.Uuid()),
        sa.Column("version", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.ForeignKeyConstraint(["item_id"], ["items.id"], name=op.f("fk_labels_item_id"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["annotator_id"], ["users.id"], name=op.f("fk_labels_annotator_id")),
        sa.UniqueConstraint(
            "item_id", "annotator_id", "version", name=op.f("uq_labels_item_id_annotator_id_version")
        ),
        sa.UniqueConstraint("client_id", name=op.f("uq_labels_client_id")),
    )
    op.create_index(op.f("ix_labels_project_id"), "labels", ["project_id"])
    op.create_index(op.f("ix_labels_item_id"), "labels", ["item_id"])
    op.create_index(op.f("ix_labels_annotator_id_created_at"), "labels", ["annotator_id", "created_at"])
    op.create_table(
        "leases",
        *row("leases"),
        sa.Column("item_id", sa.Uuid(), nullable=False),
        sa.Column("annotator_id", sa.Uuid(), nullable=False),
        sa.Column("token", sa.Uuid(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["item_id"], ["items.id"], name=op.f("fk_leases_item_id"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(
            ["annotator_id"], ["users.id"], name=op.f("fk_leases_annotator_id"), ondelete="CASCADE"
        ),
        sa.UniqueConstraint("item_id", "annotator_id", name=op.f("uq_leases_item_id_annotator_id")),
        sa.UniqueConstraint("token", name=op.f("uq_leases_token")),
    )
    op.create_index(op.f("ix_leases_project_id"), "leases", ["project_id"])
    op.create_index(op.f("ix_leases_annotator_id"), "leases", ["annotator_id"])


def downgrade() -> None:
    for table in ("leases", "labels"):
        op.drop_table(table)
