"""Exports of checkpoints, and their uploads to a hub."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def create(table: str, *columns: sa.Column) -> None:
    """A table of work with the columns of every noun."""
    op.create_table(
        table,
        sa.Column("id", sa.Uuid(), server_default=sa.text("uuidv7()"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("project_id", sa.Uuid(), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("reason", sa.String()),
        sa.Column("remedy", sa.String()),
        sa.Column("stop_requested", sa.Boolean(), nullable=False),
        sa.Column("done", sa.BigInteger(), nullable=False),
        sa.Column("total", sa.BigInteger(), nullable=False),
        sa.Column("heartbeat_at", sa.DateTime(timezone=True)),
        sa.Column("started_at", sa.DateTime(timezone=True)),
        sa.Column("finished_at", sa.DateTime(timezone=True)),
        sa.Column("host", sa.String()),
        sa.Column("boot_id", sa.String()),
        sa.Column("pid", sa.Integer()),
        *columns,
        sa.PrimaryKeyConstraint("id", name=f"pk_{table}"),
        belongs(table, "project_id", "projects", "CASCADE"),
        belongs(table, "created_by", "users", "SET NULL"),
    )
    op.create_index(f"ix_{table}_project_id", table, ["project_id"])
    op.create_index(f"ix_{table}_state", table, ["state"])


def belongs(table: str, column: str, to: str, ondelete: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint([column], [f"{to}.id"], name=f"fk_{table}_{column}", ondelete=ondelete)


def upgrade() -> None:
    create(
        "exports",
        sa.Column("checkpoint_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("dtype", sa.String(16), nullable=False),
        sa.Column("base", sa.String()),
        sa.Column("rank", sa.Integer()),
        sa.Column("step", sa.String()),
        sa.Column("written_dtype", sa.String()),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("files", postgresql.JSONB(), nullable=False),
        sa.Column("comparison", postgresql.JSONB(), nullable=False),
        sa.Column("created_by", sa.Uuid()),
        belongs("exports", "checkpoint_id", "checkpoints", "CASCADE"),
    )
    op.create_index("ix_exports_checkpoint_id", "exports", ["checkpoint_id"])
    create(
        "pushes",
        sa.Column("checkpoint_id", sa.Uuid(), nullable=False),
        sa.Column("export_id", sa.Uuid()),
        sa.Column("repo_id", sa.String(), nullable=False),
        sa.Column("private", sa.Boolean(), nullable=False),
        sa.Column("secret", sa.String(), nullable=False),
        sa.Column("commit", sa.String()),
        sa.Column("url", sa.String()),
        sa.Column("created_by", sa.Uuid()),
        belongs("pushes", "checkpoint_id", "checkpoints", "CASCADE"),
        belongs("pushes", "export_id", "exports", "SET NULL"),
    )
    op.create_index("ix_pushes_checkpoint_id", "pushes", ["checkpoint_id"])
    op.create_index("ix_pushes_export_id", "pushes", ["export_id"])


def downgrade() -> None:
    op.drop_table("pushes")
    op.drop_table("exports")
