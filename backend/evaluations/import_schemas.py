"""What goes in and out of the import of other tools' results."""

import uuid
from typing import Annotated

from pydantic import BaseModel, Field

from backend.accounts.schemas import In
from backend.datasets.schemas import Name
from backend.evaluations.schemas import CheckpointBrief


class ResultsFileIn(In):
    """An uploaded file of results."""

    upload_id: uuid.UUID


class ResultsIn(ResultsFileIn):
    name: Name
    baseline: Annotated[str, Field(min_length=1, max_length=120)] | None = Field(
        None, description="The contestant that the others are measured against; null: who met most."
    )
    gamed_upload_id: uuid.UUID | None = Field(
        None, description="AlpacaEval 2's df_gamed.csv, for its own length-controlled rate of annotations."
    )


class OutputsOut(BaseModel):
    """Contestants whose outputs a file holds: they can take part in evaluations of prompts that they answered."""

    contestants: list[CheckpointBrief]
    prompts: int
    answers: int


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
    answers: int = Field(description="Texts of contestants, kept for evaluations to come.")
    texts: bool = Field(description="Whether it holds the answers.")
    shown: list[ResultsRowOut]
    left_out: int
    errors: list[str] = Field(description="Why rows are left out, at most 50 of them.")
