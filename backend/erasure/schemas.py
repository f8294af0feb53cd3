"""What goes in and out of the routes of a person's data."""

from typing import Annotated, Literal

from pydantic import Field

from backend.accounts.schemas import In, Out


class HeldOut(Out):
    """How much there is of a person."""

    name: str
    labels: int = Field(description="Every version of every label, and votes that became labels.")
    rationales: int
    verdicts: int
    battles: int = Field(description="Battles of the arena whose prompt the person wrote.")
    frozen_labels: int = Field(description="Labels that went into snapshots, which never change.")
    sessions: int
    tokens: int
    identities: int
    memberships: int
    audit_events: int
    stays: list[str] = Field(description="What is not, or cannot be, changed.")


class EraseIn(In):
    """How to remove a person's data; `confirm` is the person's name."""

    confirm: Annotated[str, Field(max_length=256)]
    judgements: Literal["keep", "delete"] = Field(
        description="Keep labels and verdicts under “removed person N”, or delete them."
    )
    free_text: Literal["keep", "delete"] = Field(
        description="Keep or delete what the person wrote: reasons of labels, and battles with their prompts."
    )


class ErasedOut(Out):
    """What was done."""

    name: str = Field(description="What the person is called from now on.")
    removed: dict[str, int]
    stays: list[str]
