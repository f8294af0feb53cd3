"""Secrets of projects, sealed; and the audit log, which only grows."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

# Removing a person's data may empty what an event says about them; nothing else is ever changed, and nothing deleted.
KEEP = """
CREATE FUNCTION audit_events_keep() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'UPDATE' AND current_setting('plumbline.erasing', true) = 'on'
     AND (NEW.id, NEW.created_at, NEW.action, NEW.noun) = (OLD.id, OLD.created_at, OLD.action, OLD.noun)
     AND (NEW.project_id, NEW.user_id, NEW.noun_id) IS NOT DISTINCT FROM (OLD.project_id, OLD.user_id, OLD.noun_id)
  THEN
    RETURN NEW;
  END IF;
  RAISE EXCEPTION 'audit events are not changed';
END $$
"""


def row() -> list[sa.Column]:
    return [
        sa.Column("id", sa.Uuid(), server_default=sa.text("uuidv7()"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
    ]


def upgrade() -> None:
    op.create_table(
        "secrets",
        *row(),
        sa.Column("project_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("origin", sa.String()),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("hint", sa.String(), nullable=False),
        sa.Column("created_by", sa.Uuid()),
        sa.Column("set_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_used_at", sa.DateTime(timezone=True)),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.id"], name=op.f("fk_secrets_project_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["created_by"], ["users.id"], name=op.f("fk_secrets_created_by"), ondelete="SET NULL"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_secrets")),
        sa.UniqueConstraint("project_id", "name", name=op.f("uq_secrets_project_id_name")),
    )
    op.create_index(op.f("ix_secrets_project_id"), "secrets", ["project_id"])
    op.create_table(
        "audit_events",
        *row(),
        sa.Column("project_id", sa.Uuid()),
        sa.Column("user_id", sa.Uuid()),
        sa.Column("action", sa.String(), nullable=False),
        sa.Column("noun", sa.String(), nullable=False),
        sa.Column("noun_id", sa.Uuid()),
        sa.Column("detail", postgresql.JSONB(), nullable=False),
        sa.Column("ip", sa.String()),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_events")),
    )
    op.create_index("ix_audit_events_project_id_id", "audit_events", ["project_id", "id"])
    op.create_index("ix_audit_events_user_id_id", "audit_events", ["user_id", "id"])
    op.execute(KEEP)
    op.execute(
        "CREATE TRIGGER audit_events_keep BEFORE UPDATE OR DELETE ON audit_events "
        "FOR EACH ROW EXECUTE FUNCTION audit_events_keep()"
    )


def downgrade() -> None:
    op.drop_table("audit_events")
    op.execute("DROP FUNCTION audit_events_keep()")
    op.drop_table("secrets")
