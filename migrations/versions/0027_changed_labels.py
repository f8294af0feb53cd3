"""Labels that changed, and those that came when their task had enough, are found without the others."""

import sqlalchemy as sa
from alembic import op

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_labels_changed", "labels", ["task_id", "id"], postgresql_where=sa.text("version > 1"))
    op.create_index("ix_labels_surplus", "labels", ["task_id"], postgresql_where=sa.text("surplus"))


def downgrade() -> None:
    op.drop_index("ix_labels_surplus", "labels")
    op.drop_index("ix_labels_changed", "labels")
