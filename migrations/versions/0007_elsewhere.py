"""Runs that a trainer elsewhere reports, tokens for it, and paths that no longer name a machine's folders.

A path of something that the program owns becomes its storage key (`runs/<id>/checkpoints/<step>`,
`checkpoints/<id>`, `snapshots/<hash>`); a folder that somebody registered stays the absolute path it was.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from backend.settings import get_settings

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

UUID = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
PATHS = (  # table, source of a checkpoint, the part of the old path that stays
    ("checkpoints", "run", f"runs/{UUID}/checkpoints/[0-9]+"),
    ("checkpoints", "hub", f"checkpoints/{UUID}"),
    ("snapshots", None, "snapshots/[0-9a-f]{64}"),
)


def upgrade() -> None:
    op.add_column("runs", sa.Column("place", sa.String(16), nullable=False, server_default="worker"))
    op.alter_column("runs", "place", server_default=None)
    op.add_column("runs", sa.Column("reporter", postgresql.JSONB()))
    op.create_table(
        "report_tokens",
        sa.Column("id", sa.Uuid(), server_default=sa.text("uuidv7()"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("run_id", sa.Uuid(), nullable=False),
        sa.Column("prefix", sa.String(), nullable=False),
        sa.Column("token_hash", sa.LargeBinary(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("revoked_at", sa.DateTime(timezone=True)),
        sa.Column("last_used_at", sa.DateTime(timezone=True)),
        sa.Column("created_by", sa.Uuid()),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_report_tokens")),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_report_tokens_run_id"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(
            ["created_by"], ["users.id"], name=op.f("fk_report_tokens_created_by"), ondelete="SET NULL"
        ),
        sa.UniqueConstraint("token_hash", name=op.f("uq_report_tokens_token_hash")),
    )
    op.create_index(op.f("ix_report_tokens_run_id"), "report_tokens", ["run_id"])
    for table, source, kept in PATHS:
        only = f" AND source = '{source}'" if source else ""
        op.execute(
            sa.text(f"UPDATE {table} SET path = substring(path from :kept) WHERE path ~ :whole{only}").bindparams(
                kept=f"/({kept})$", whole=f"^/.*{kept}$"
            )
        )
    op.execute(
        "UPDATE checkpoints SET path = 'package:alignment/toyworld/base' "
        "WHERE source = 'toy' AND path LIKE '/%/alignment/toyworld/base'"
    )


def downgrade() -> None:
    folder = str(get_settings().data.absolute())
    for table in ("checkpoints", "snapshots"):
        op.execute(
            sa.text(
                f"UPDATE {table} SET path = CAST(:folder AS text) || '/' || path "
                "WHERE path NOT LIKE '/%' AND path NOT LIKE 'package:%'"
            ).bindparams(folder=folder)
        )
    op.drop_table("report_tokens")
    op.drop_column("runs", "reporter")
    op.drop_column("runs", "place")
