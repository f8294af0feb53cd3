"""Answers of imported contestants, to meet others on the same prompts; how far apart answers are in words; votes that
were asked for because they tell most; AlpacaEval's own rate of an import."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0036"
down_revision = "0035"
branch_labels = None
depends_on = None

WORDS = r"abs(regexp_count(response_a ->> 'content', '\S+') - regexp_count(response_b ->> 'content', '\S+'))"


def upgrade() -> None:
    op.create_table(
        "outputs",
        sa.Column("project_id", sa.Uuid(), nullable=False),
        sa.Column("checkpoint_id", sa.Uuid(), nullable=False),
        sa.Column("prompt_hash", sa.String(64), nullable=False),
        sa.Column("prompt", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("answer", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.PrimaryKeyConstraint("checkpoint_id", "prompt_hash", name="pk_outputs"),
        *(
            sa.ForeignKeyConstraint([column], [f"{there}.id"], name=f"fk_outputs_{column}", ondelete="CASCADE")
            for column, there in (("project_id", "projects"), ("checkpoint_id", "checkpoints"))
        ),
    )
    op.create_index("ix_outputs_project_id", "outputs", ["project_id"])
    op.execute(
        "INSERT INTO outputs (project_id, checkpoint_id, prompt_hash, prompt, answer)"
        " SELECT DISTINCT ON (one.id, sides.prompt_hash) one.project_id, one.id, sides.prompt_hash, sides.prompt,"
        " sides.answer FROM checkpoints AS one JOIN ("
        " SELECT id, evaluation_id, prompt_hash, prompt, checkpoint_a AS side, response_a AS answer FROM matches"
        " UNION ALL SELECT id, evaluation_id, prompt_hash, prompt, checkpoint_b, response_b FROM matches"
        " WHERE jsonb_array_length(prompt) = 1"  # in later turns side b had answers of its own before it
        ") AS sides ON sides.side = one.id WHERE one.source = 'outputs' AND sides.evaluation_id IS NOT NULL"
        " AND jsonb_exists(sides.answer, 'content') ORDER BY one.id, sides.prompt_hash, sides.id DESC"
    )
    op.add_column("matches", sa.Column("words_apart", sa.Integer(), sa.Computed(WORDS, persisted=True)))
    op.add_column("verdicts", sa.Column("guided", sa.Boolean()))
    op.add_column("evaluations", sa.Column("published", postgresql.JSONB(astext_type=sa.Text())))


def downgrade() -> None:
    op.drop_column("evaluations", "published")
    op.drop_column("verdicts", "guided")
    op.drop_column("matches", "words_apart")
    op.drop_table("outputs")
