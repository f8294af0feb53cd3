"""The table of feedback that came, by which it is stored once and found by its user's hash."""

import uuid

from sqlalchemy import ForeignKey, Index, String, text
from sqlalchemy.orm import Mapped, mapped_column

from backend.db import Base, ProjectRow


class Feedback(ProjectRow, Base):
    """One word of a user about an answer: the item that the answer is, the pair that an edit of it made, and whose.

    `client_id` is the sender's, `digest` of what it sent; `user_hash` is keyed, and the user's name is nowhere.
    """

    __tablename__ = "feedback"
    __table_args__ = (
        Index(
            "uq_feedback_project_id_client_id",
            "project_id",
            "client_id",
            unique=True,
            postgresql_where=text("client_id IS NOT NULL"),
        ),
        Index("ix_feedback_project_id_user_hash", "project_id", "user_hash"),
    )
    client_id: Mapped[str | None]
    digest: Mapped[str] = mapped_column(String(64))
    item_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("items.id", ondelete="CASCADE"), index=True)
    pair_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("items.id", ondelete="CASCADE"), index=True)
    user_hash: Mapped[str | None] = mapped_column(String(32))
    created_by: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("users.id", ondelete="SET NULL"))
