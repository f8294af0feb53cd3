"""Datasets, uploads, imports, items and snapshots."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def create(table: str, *columns: sa.Column, owner: bool = True) -> None:
    """A table with the columns of every noun, and its creator when it has one."""
    by = [sa.Column("created_by", sa.Uuid())] if owner else []
    keys = (
        [sa.ForeignKeyConstraint(["created_by"], ["users.id"], name=f"fk_{table}_created_by", ondelete="SET NULL")]
        if owner
        else []
    )
    op.create_table(
        table,
        sa.Column("id", sa.Uuid(), server_default=sa.text("uuidv7()"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("project_id", sa.Uuid(), nullable=False),
        *columns,
        *by,
        sa.PrimaryKeyConstraint("id", name=f"pk_{table}"),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name=f"fk_{table}_project_id", ondelete="CASCADE"),
        *keys,
    )
    op.create_index(f"ix_{table}_project_id", table, ["project_id"])


def belongs(table: str, column: str, to: str) -> None:
    op.create_foreign_key(f"fk_{table}_{column}", table, to, [column], ["id"], ondelete="CASCADE")


def work() -> list[sa.Column]:
    return [
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("reason", sa.String()),
        sa.Column("remedy", sa.String()),
        sa.Column("stop_requested", sa.Boolean(), nullable=False),
        sa.Column("done", sa.Integer(), nullable=False),
        sa.Column("total", sa.Integer(), nullable=False),
        sa.Column("heartbeat_at", sa.DateTime(timezone=True)),
        sa.Column("started_at", sa.DateTime(timezone=True)),
        sa.Column("finished_at", sa.DateTime(timezone=True)),
        sa.Column("host", sa.String()),
        sa.Column("boot_id", sa.String()),
        sa.Column("pid", sa.Integer()),
    ]


def upgrade() -> None:
    create(
        "datasets",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("description", sa.String(), nullable=False),
        sa.Column("toy", sa.Boolean(), nullable=False),
        sa.UniqueConstraint("project_id", "name", name="uq_datasets_project_id_name"),
    )
    create(
        "uploads",
        sa.Column("filename", sa.String(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("path", sa.String(), nullable=False),
    )
    create(
        "imports",
        *work(),
        sa.Column("upload_id", sa.Uuid(), nullable=False),
        sa.Column("dataset_id", sa.Uuid()),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("format", sa.String(), nullable=False),
        sa.Column("abort_on_bad_row", sa.Boolean(), nullable=False),
        sa.Column("rows_good", sa.Integer(), nullable=False),
        sa.Column("rows_bad", sa.Integer(), nullable=False),
        sa.Column("rows_doubled", sa.Integer(), nullable=False),
        sa.Column("errors", postgresql.JSONB(), nullable=False),
        sa.Column("warnings", postgresql.JSONB(), nullable=False),
        sa.Column("bytes_total", sa.BigInteger(), nullable=False),
        sa.Column("bytes_read", sa.BigInteger(), nullable=False),
    )
    belongs("imports", "upload_id", "uploads")
    belongs("imports", "dataset_id", "datasets")
    op.create_index("ix_imports_state", "imports", ["state"])
    op.create_index("ix_imports_upload_id", "imports", ["upload_id"])
    op.create_index("ix_imports_dataset_id", "imports", ["dataset_id"])
    create(
        "items",
        sa.Column("dataset_id", sa.Uuid(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("split", sa.String(16), nullable=False),
        sa.Column("prompt", postgresql.JSONB(), nullable=False),
        sa.Column("prompt_hash", sa.String(64), nullable=False),
        sa.Column("content_hash", sa.String(64), nullable=False),
        sa.Column("responses", postgresql.JSONB(), nullable=False),
        sa.Column("facts", postgresql.JSONB(), nullable=False),
        sa.UniqueConstraint("dataset_id", "content_hash", name="uq_items_dataset_id_content_hash"),
        owner=False,
    )
    belongs("items", "dataset_id", "datasets")
    op.create_index("ix_items_dataset_id_position", "items", ["dataset_id", "position"], unique=True)
    create(
        "snapshots",
        sa.Column("dataset_id", sa.Uuid(), nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("policy", postgresql.JSONB(), nullable=False),
        sa.Column("label_watermark", sa.Uuid()),
        sa.Column("counts", postgresql.JSONB(), nullable=False),
        sa.Column("path", sa.String(), nullable=False),
        sa.UniqueConstraint("dataset_id", "hash", name="uq_snapshots_dataset_id_hash"),
        owner=False,
    )
    belongs("snapshots", "dataset_id", "datasets")
    op.create_index("ix_snapshots_hash", "snapshots", ["hash"])
    op.create_table(
        "snapshot_labels",
        sa.Column("snapshot_id", sa.Uuid(), nullable=False),
        sa.Column("label_id", sa.Uuid(), nullable=False),
        sa.PrimaryKeyConstraint("snapshot_id", "label_id", name="pk_snapshot_labels"),
        sa.ForeignKeyConstraint(
            ["snapshot_id"], ["snapshots.id"], name="fk_snapshot_labels_snapshot_id", ondelete="CASCADE"
        ),
    )
    op.create_index("ix_snapshot_labels_label_id", "snapshot_labels", ["label_id"])


def downgrade() -> None:
    for table in ("snapshot_labels", "snapshots", "items", "imports", "uploads", "datasets"):
        op.drop_table(table)
