"""How many labels a task wants of an item that an edit made, and the items of a task that are begun."""

import sqlalchemy as sa
from alembic import op

revision = "0030"
down_revision = "0029"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("places", sa.Column("wants", sa.Integer()))
    op.create_index("ix_places_begun", "places", ["task_id"], postgresql_where=sa.text("open AND taken > 0"))
    op.create_index("ix_places_wants", "places", ["task_id"], postgresql_where=sa.text("wants IS NOT NULL"))


def downgrade() -> None:
    op.drop_index("ix_places_wants", "places")
    op.drop_index("ix_places_begun", "places")
    op.drop_column("places", "wants")
