"""What is known of an evaluation's prompts in its contestants' training data, as it is told."""

import uuid

from pydantic import BaseModel, Field

from backend.work import State


class TrainedOnOut(BaseModel):
    """A snapshot that a contestant, or one of its ancestors, was trained on."""

    snapshot_id: uuid.UUID
    dataset_id: uuid.UUID
    dataset: str


class SeenOut(BaseModel):
    """How many of the prompts stand in what a contestant was trained on."""

    contestant: uuid.UUID
    snapshots: list[TrainedOnOut]
    prompts: int = Field(description="Distinct prompts that were looked for; empty ones are not.")
    exact: int = Field(description="Word for word, once normalised.")
    overlapping: int = Field(description="Not whole, but most of their runs of words.")
    share: float | None = Field(description="Of the prompts, both kinds together; null without a prompt.")
    words: str


class ContaminationOut(BaseModel):
    """Whether an evaluation's prompts were trained on; `items` are those contestants that were trained here."""

    state: State | None = Field(description="Null: nobody asked, or no contestant was trained here.")
    reason: str | None
    remedy: str | None
    done: int = Field(description="Training examples that were read.")
    total: int
    trained: int = Field(description="Contestants that were trained here.")
    items: list[SeenOut] = Field(description="Empty until it is known.")
    words: str
