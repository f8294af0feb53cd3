"""Table of the times that items were withdrawn and restored."""

import uuid

from sqlalchemy import ForeignKey, Text
from sqlalchemy.orm import Mapped, mapped_column

from backend.accounts.models import User
from backend.datasets.models import Item
from backend.db import Base, ProjectRow


class Withdrawal(ProjectRow, Base):
    """That an item was withdrawn, or with `restored` brought back, by whom and why. Rows are only ever added; whether
    an item is withdrawn now stands in its own row."""

    __tablename__ = "withdrawals"
    item_id: Mapped[uuid.UUID] = mapped_column(ForeignKey(Item.id, ondelete="CASCADE"), index=True)
    restored: Mapped[bool]
    reason: Mapped[str] = mapped_column(Text)
    created_by: Mapped[uuid.UUID | None] = mapped_column(ForeignKey(User.id, ondelete="SET NULL"))
