"""Table of projects."""

from sqlalchemy.orm import Mapped, mapped_column

from backend.db import Base, Row


class Project(Row, Base):
    """What every other row belongs to."""

    __tablename__ = "projects"
    name: Mapped[str] = mapped_column(unique=True)
