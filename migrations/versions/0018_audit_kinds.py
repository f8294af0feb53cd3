"""Events of one action or noun are found without passing the others."""

from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

COLUMNS = ("action", "noun")


def upgrade() -> None:
    for column in COLUMNS:
        op.create_index(f"ix_audit_events_project_id_{column}_id", "audit_events", ["project_id", column, "id"])


def downgrade() -> None:
    for column in COLUMNS:
        op.drop_index(f"ix_audit_events_project_id_{column}_id", "audit_events")
