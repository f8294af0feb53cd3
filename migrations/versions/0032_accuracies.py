"""Work that measures judges on labelled pairs."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0032"
down_revision = "0031"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "accuracies",
        sa.Column("id", sa.Uuid(), server_default=sa.text("uuidv7()"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("project_id", sa.Uuid(), nullable=False),
        sa.Column("dataset_id", sa.Uuid(), nullable=False),
        sa.Column("judge", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("pairs", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("said", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("result", postgresql.JSONB(astext_type=sa.Text())),
        sa.Column("created_by", sa.Uuid()),
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
        sa.Column("request_id", sa.String()),
        sa.PrimaryKeyConstraint("id", name="pk_accuracies"),
        *(
            sa.ForeignKeyConstraint([column], [f"{there}.id"], name=f"fk_accuracies_{column}", ondelete=then)
            for column, there, then in (
                ("project_id", "projects", "CASCADE"),
                ("dataset_id", "datasets", "CASCADE"),
                ("created_by", "users", "SET NULL"),
            )
        ),
    )
    for column in ("project_id", "state"):
        op.create_index(f"ix_accuracies_{column}", "accuracies", [column])
    op.create_index("ix_accuracies_dataset_id_id", "accuracies", ["dataset_id", "id"])


def downgrade() -> None:
    op.drop_table("accuracies")
