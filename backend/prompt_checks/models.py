"""Table of prompts with what a good answer to each must keep."""

import uuid
from typing import Any

from sqlalchemy import ForeignKey, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from backend.db import Base, ProjectRow


class PromptCheck(ProjectRow, Base):
    """A prompt, and what is expected of its answer (`alignment.judges.prompt_checks.Expected`). A prompt stands once in
    each category."""

    __tablename__ = "prompt_checks"
    __table_args__ = (UniqueConstraint("project_id", "category", "prompt_hash"),)
    category: Mapped[str]
    prompt: Mapped[list[dict[str, Any]]]
    prompt_hash: Mapped[str] = mapped_column(String(64))
    expects: Mapped[dict[str, Any]]
    created_by: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("users.id", ondelete="SET NULL"))
