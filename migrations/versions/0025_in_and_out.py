"""Webhooks with an outbox, feedback of users, suggestions; tokens of one use; snapshots that differ by policy alone."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None

JSONB = postgresql.JSONB(astext_type=sa.Text())
TIME = sa.DateTime(timezone=True)


def key(table: str, column: str, other: str, ondelete: str = "CASCADE") -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint([column], [f"{other}.id"], name=f"fk_{table}_{column}", ondelete=ondelete)


def create(table: str, *parts: sa.Column[object] | sa.Constraint) -> None:
    op.create_table(
        table,
        sa.Column("id", sa.Uuid(), server_default=sa.text("uuidv7()"), nullable=False),
        sa.Column("created_at", TIME, server_default=sa.text("now()"), nullable=False),
        sa.Column("project_id", sa.Uuid(), nullable=False),
        *parts,
        sa.PrimaryKeyConstraint("id", name=f"pk_{table}"),
        key(table, "project_id", "projects"),
    )
    op.create_index(f"ix_{table}_project_id", table, ["project_id"])


def upgrade() -> None:
    _webhooks()
    _feedback()
    _suggestions()
    op.add_column("api_tokens", sa.Column("only", sa.String(16)))
    op.drop_constraint("uq_snapshots_dataset_id_hash", "snapshots")
    op.create_unique_constraint("uq_snapshots_dataset_id_hash_policy", "snapshots", ["dataset_id", "hash", "policy"])


def _webhooks() -> None:
    create(
        "webhooks",
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("description", sa.String(), server_default="", nullable=False),
        sa.Column("events", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("former", sa.LargeBinary()),
        sa.Column("former_until", TIME),
        sa.Column("failures", sa.Integer(), server_default="0", nullable=False),
        sa.Column("failing_since", TIME),
        sa.Column("quiet_until", TIME),
        sa.Column("stopped_at", TIME),
        sa.Column("stopped_because", sa.String()),
        sa.Column("created_by", sa.Uuid()),
        key("webhooks", "created_by", "users", "SET NULL"),
    )
    op.create_index("ix_webhooks_project_id_id", "webhooks", ["project_id", "id"])
    create(
        "webhook_deliveries",
        sa.Column("webhook_id", sa.Uuid(), nullable=False),
        sa.Column("event", sa.String(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("state", sa.String(16), server_default="waiting", nullable=False),
        sa.Column("tried", sa.Integer(), server_default="0", nullable=False),
        sa.Column("attempts", JSONB, server_default=sa.text("'[]'"), nullable=False),
        sa.Column("next_at", TIME, server_default=sa.text("now()"), nullable=False),
        sa.Column("delivered_at", TIME),
        sa.Column("request_id", sa.String()),
        key("webhook_deliveries", "webhook_id", "webhooks"),
    )
    op.create_index("ix_webhook_deliveries_webhook_id_id", "webhook_deliveries", ["webhook_id", "id"])
    op.create_index(
        "ix_webhook_deliveries_due",
        "webhook_deliveries",
        ["webhook_id", "next_at"],
        postgresql_where=sa.text("state = 'waiting'"),
    )
    op.create_index(
        "ix_webhook_deliveries_tests",
        "webhook_deliveries",
        ["next_at"],
        postgresql_where=sa.text("state = 'waiting' AND event = 'webhook.test'"),
    )


def _feedback() -> None:
    create(
        "feedback",
        sa.Column("client_id", sa.String()),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("item_id", sa.Uuid()),
        sa.Column("pair_id", sa.Uuid()),
        sa.Column("user_hash", sa.String(32)),
        sa.Column("created_by", sa.Uuid()),
        key("feedback", "item_id", "items"),
        key("feedback", "pair_id", "items"),
        key("feedback", "created_by", "users", "SET NULL"),
    )
    for column in ("item_id", "pair_id"):
        op.create_index(f"ix_feedback_{column}", "feedback", [column])
    op.create_index("ix_feedback_project_id_user_hash", "feedback", ["project_id", "user_hash"])
    op.create_index(
        "uq_feedback_project_id_client_id",
        "feedback",
        ["project_id", "client_id"],
        unique=True,
        postgresql_where=sa.text("client_id IS NOT NULL"),
    )


def _suggestions() -> None:
    create(
        "suggestions",
        sa.Column("task_id", sa.Uuid(), nullable=False),
        sa.Column("item_id", sa.Uuid(), nullable=False),
        sa.Column("by", JSONB, nullable=False),
        sa.Column("value", JSONB, nullable=False),
        sa.Column("margin", sa.Float(), nullable=False),
        sa.UniqueConstraint("task_id", "item_id", name="uq_suggestions_task_id_item_id"),
        key("suggestions", "task_id", "tasks"),
        key("suggestions", "item_id", "items"),
    )
    op.create_index("ix_suggestions_item_id", "suggestions", ["item_id"])


def downgrade() -> None:
    op.drop_constraint("uq_snapshots_dataset_id_hash_policy", "snapshots")
    op.execute(
        "DELETE FROM snapshots AS one USING snapshots AS other"
        " WHERE one.dataset_id = other.dataset_id AND one.hash = other.hash AND one.id > other.id"
    )
    op.create_unique_constraint("uq_snapshots_dataset_id_hash", "snapshots", ["dataset_id", "hash"])
    op.execute("DELETE FROM api_tokens WHERE \"only\" IS NOT NULL")  # without the limit they would open everything
    op.drop_column("api_tokens", "only")
    for table in ("suggestions", "feedback", "webhook_deliveries", "webhooks"):
        op.drop_table(table)
