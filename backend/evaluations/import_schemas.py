"""What goes in and out of the import of other tools' results."""

import uuid
from typing import Annotated

from pydantic import BaseModel, Field

from backend.accounts.schemas import In
from backend.datasets.schemas import Name


class ResultsFileIn(In):
    """An uploaded file of results."""

    upload_id: uuid.UUID


class ResultsIn(ResultsFileIn):
    name: Name
    baseline: Annotated[str, Field(min_length=1, max_length=120)] | None = Field(
        None, description="The contestant that the others are measured against; null: who met most."
    )


class ResultsRowOut(BaseModel):
    prompt: str
    a: str
    b: str
    probability: float | None = Field(description="That `a` wins.")


class ResultsOut(BaseModel):
    """What a file of another tool holds."""

    kind: str
    rows: int
    matches: int
    prompts: int
    contestants: list[str] = Field(description="The baseline first.")
    judges: list[str]
    texts: bool = Field(description="Whether it holds the answers.")
    shown: list[ResultsRowOut]
    left_out: int
    errors: list[str] = Field(description="Why rows are left out, at most 50 of them.")
