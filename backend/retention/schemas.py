"""What goes in and out of the routes of retention."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from backend.accounts.schemas import In, Out

Days = Annotated[int, Field(ge=1, le=3650)]
Rule = Literal["last_checkpoints", "failed_days", "answers_days", "exports_days"]


class RulesIn(In):
    """What a project keeps; a rule that is null removes nothing."""

    last_checkpoints: Annotated[int, Field(ge=1, le=1000)] | None = Field(
        None,
        description="Of each run that succeeded, how many of the latest checkpoints keep their weights; and the best.",
    )
    failed_days: Days | None = Field(
        None, description="Days that weights of runs that failed or were cancelled stay after the end."
    )
    answers_days: Days | None = Field(
        None, description="Days that answers of the arena, and of evaluations that did not succeed, stay."
    )
    exports_days: Days | None = Field(None, description="Days that exports stay after they were made.")


class RulesOut(RulesIn):
    """The rules of a project, who set them last, and when they are applied next (null: nothing is ever removed)."""

    set_by: str | None
    set_at: datetime | None
    due_at: datetime | None


class GoesOut(Out):
    """What one rule would remove now: how many, how many bytes as far as they are measured, and the first by name."""

    rule: Rule
    count: int
    bytes: int
    unmeasured: int
    names: list[str]


class RetentionPreviewOut(Out):
    """What rules would remove if they were applied now."""

    count: int
    bytes: int
    goes: list[GoesOut]
