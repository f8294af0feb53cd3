"""Battles of the arena: two to four contestants, turn by turn; matches of the arena so far become some."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0037"
down_revision = "0036"
branch_labels = None
depends_on = None

# Who saw side b first: the first bit of a digest of match and person, as those pages showed it.
OF_MATCHES = """
WITH old AS (
    SELECT m.*, v.value AS said, v.client_id AS said_id, v.created_at AS said_at,
        coalesce((get_byte(sha256(convert_to(concat(m.id, chr(58), m.created_by), 'UTF8')), 0) & 1) = 1, false) AS turned
    FROM matches m
    LEFT JOIN verdicts v ON v.match_id = m.id AND v.source = 'person' AND v.annotator_id = m.created_by
    WHERE m.evaluation_id IS NULL
)
INSERT INTO battles (
    id, created_at, project_id, turn, contestants, message, prompt_hash, answers, sampling, seed, value, client_id,
    revealed_at, created_by, state, reason, remedy, stop_requested, done, total, heartbeat_at, started_at, finished_at,
    host, boot_id, pid, request_id
)
SELECT
    id, created_at, project_id, 1,
    CASE WHEN turned THEN jsonb_build_array(checkpoint_b, checkpoint_a)
        ELSE jsonb_build_array(checkpoint_a, checkpoint_b) END,
    prompt, prompt_hash,
    CASE WHEN response_a IS NULL OR response_b IS NULL THEN NULL
        WHEN turned THEN jsonb_build_array(response_b, response_a)
        ELSE jsonb_build_array(response_a, response_b) END,
    sampling, seed,
    CASE WHEN turned AND jsonb_exists(said, 'strength') THEN jsonb_build_object('strength', -(said->>'strength')::int)
        ELSE said END,
    said_id, said_at, created_by, state, reason, remedy, stop_requested, done, total, heartbeat_at, started_at,
    finished_at, host, boot_id, pid, request_id
FROM old
"""


def upgrade() -> None:
    jsonb = postgresql.JSONB(astext_type=sa.Text())
    op.create_table(
        "battles",
        sa.Column("id", sa.Uuid(), server_default=sa.text("uuidv7()"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("project_id", sa.Uuid(), nullable=False),
        sa.Column("first_id", sa.Uuid()),
        sa.Column("turn", sa.Integer(), nullable=False),
        sa.Column("contestants", jsonb, nullable=False),
        sa.Column("message", jsonb, nullable=False),
        sa.Column("prompt_hash", sa.String(64), nullable=False),
        sa.Column("answers", jsonb),
        sa.Column("sampling", jsonb, nullable=False),
        sa.Column("seed", sa.Integer(), nullable=False),
        sa.Column("value", jsonb),
        sa.Column("client_id", sa.Uuid()),
        sa.Column("revealed_at", sa.DateTime(timezone=True)),
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
        sa.PrimaryKeyConstraint("id", name="pk_battles"),
        sa.UniqueConstraint("first_id", "turn", name="uq_battles_first_id_turn"),
        *(
            sa.ForeignKeyConstraint([column], [f"{there}.id"], name=f"fk_battles_{column}", ondelete=then)
            for column, there, then in (
                ("project_id", "projects", "CASCADE"),
                ("first_id", "battles", "CASCADE"),
                ("created_by", "users", "SET NULL"),
            )
        ),
    )
    for column in ("project_id", "state"):
        op.create_index(f"ix_battles_{column}", "battles", [column])
    op.create_index("ix_battles_created_by_id", "battles", ["created_by", "id"])
    op.create_index(
        "ix_battles_contestants", "battles", ["contestants"], postgresql_using="gin",
        postgresql_ops={"contestants": "jsonb_path_ops"},
    )  # fmt: skip
    op.execute(OF_MATCHES)
    op.add_column("matches", sa.Column("battle_id", sa.Uuid()))
    op.create_foreign_key("fk_matches_battle_id", "matches", "battles", ["battle_id"], ["id"], ondelete="CASCADE")
    op.create_index(
        "ix_matches_battle_id", "matches", ["battle_id"], postgresql_where=sa.text("battle_id IS NOT NULL")
    )
    # What is not answered yet is the battle's work from now on.
    unended = "state NOT IN ('succeeded', 'failed', 'cancelled', 'lost')"
    op.execute(f"DELETE FROM matches WHERE evaluation_id IS NULL AND {unended}")  # noqa: S608
    op.execute("UPDATE matches SET battle_id = id WHERE evaluation_id IS NULL")


def downgrade() -> None:
    op.drop_index("ix_matches_battle_id", "matches")
    op.drop_constraint("fk_matches_battle_id", "matches")
    op.drop_column("matches", "battle_id")
    op.drop_table("battles")
