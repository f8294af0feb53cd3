"""Who is in which project, invitations, tokens of one project; roles leave the people and become memberships.

An admin becomes an admin of the instance and an owner of every project there is; everybody else a member of every
project with the role they had.
"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def row() -> list[sa.Column]:
    return [
        sa.Column("id", sa.Uuid(), server_default=sa.text("uuidv7()"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("project_id", sa.Uuid(), nullable=False),
    ]


def upgrade() -> None:
    op.create_table(
        "memberships",
        *row(),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("role", sa.String(16), nullable=False),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.id"], name=op.f("fk_memberships_project_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_memberships_user_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_memberships")),
        sa.UniqueConstraint("user_id", "project_id", name=op.f("uq_memberships_user_id_project_id")),
    )
    op.create_index(op.f("ix_memberships_project_id"), "memberships", ["project_id"])
    op.create_table(
        "invitations",
        *row(),
        sa.Column("hint", sa.String(), nullable=False),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("token_hash", sa.LargeBinary(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_by", sa.Uuid()),
        sa.Column("accepted_by", sa.Uuid()),
        sa.Column("accepted_at", sa.DateTime(timezone=True)),
        sa.Column("revoked_at", sa.DateTime(timezone=True)),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.id"], name=op.f("fk_invitations_project_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["created_by"], ["users.id"], name=op.f("fk_invitations_created_by"), ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(
            ["accepted_by"], ["users.id"], name=op.f("fk_invitations_accepted_by"), ondelete="SET NULL"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_invitations")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_invitations_token_hash")),
    )
    op.create_index(op.f("ix_invitations_project_id"), "invitations", ["project_id"])
    op.add_column("projects", sa.Column("archived_at", sa.DateTime(timezone=True)))
    op.add_column("projects", sa.Column("deleted_at", sa.DateTime(timezone=True)))
    op.add_column("projects", sa.Column("created_by", sa.Uuid()))
    op.create_foreign_key(
        op.f("fk_projects_created_by"), "projects", "users", ["created_by"], ["id"], ondelete="SET NULL"
    )
    # A name that only one project may bear would tell strangers which projects there are.
    op.drop_constraint(op.f("uq_projects_name"), "projects", type_="unique")
    op.add_column("api_tokens", sa.Column("project_id", sa.Uuid()))
    op.add_column("api_tokens", sa.Column("role", sa.String(16)))
    op.create_foreign_key(
        op.f("fk_api_tokens_project_id"), "api_tokens", "projects", ["project_id"], ["id"], ondelete="CASCADE"
    )
    op.create_index(op.f("ix_api_tokens_project_id"), "api_tokens", ["project_id"])
    op.add_column("users", sa.Column("admin", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.execute("UPDATE users SET admin = role = 'admin'")
    op.execute(
        "INSERT INTO memberships (project_id, user_id, role) "
        "SELECT projects.id, users.id, CASE users.role WHEN 'admin' THEN 'owner' ELSE users.role END "
        "FROM projects CROSS JOIN users ORDER BY projects.id, users.id"
    )
    op.alter_column("users", "admin", server_default=None)
    op.drop_column("users", "role")


def downgrade() -> None:
    op.add_column("users", sa.Column("role", sa.String(16), nullable=False, server_default="annotator"))
    op.execute(
        "UPDATE users SET role = CASE WHEN admin THEN 'admin' WHEN EXISTS (SELECT FROM memberships "
        "WHERE user_id = users.id AND role IN ('owner', 'researcher')) THEN 'researcher' ELSE 'annotator' END"
    )
    op.alter_column("users", "role", server_default=None)
    op.drop_column("users", "admin")
    op.drop_index(op.f("ix_api_tokens_project_id"), "api_tokens")
    op.drop_column("api_tokens", "role")
    op.drop_column("api_tokens", "project_id")
    op.create_unique_constraint(op.f("uq_projects_name"), "projects", ["name"])
    for column in ("created_by", "deleted_at", "archived_at"):
        op.drop_column("projects", column)
    op.drop_table("invitations")
    op.drop_table("memberships")
