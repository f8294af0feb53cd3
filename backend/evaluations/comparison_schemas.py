"""What the pages that compare answers are told: the grid, one match with its neighbours, log-ratios by token."""

import uuid
from datetime import datetime
from typing import Literal

from pydantic import BaseModel, Field

from backend.accounts.schemas import In, Out
from backend.evaluations.schemas import CheckpointBrief, MatchOut, VerdictOut
from backend.work import State

Mark = Literal["contradicted", "unreadable", "differs"]
Side = Literal["a", "b"]


class GridOut(BaseModel):
    """How many matches meet the filter, and on which prompts: rows are asked for when they are looked at."""

    matches: int
    prompts: int
    positions: list[list[int]] = Field(description="First and last of each stretch of positions, in order.")
    categories: list[str] = Field(description="Of the evaluation's prompts, by name.")


class CellOut(BaseModel):
    """A contestant's answer to a prompt, and how its match against the baseline ended."""

    match_id: uuid.UUID | None = Field(description="Null where it met nobody.")
    excerpt: str | None
    characters: int | None
    error: str | None
    score: float | None = Field(description="1 won against the baseline, 0 lost; null for the baseline and undecided.")
    marks: list[Mark]


class GridRowOut(BaseModel):
    """One prompt; `cells` follow the evaluation's contestants."""

    position: int
    prompt: str = Field(description="How its last message begins.")
    turns: int
    category: str | None
    trained_on: list[uuid.UUID] = Field([], description="Contestants whose training data hold the prompt.")
    cells: list[CellOut]


class SpokenOut(VerdictOut):
    """A verdict and, of a person's, whose it is."""

    by: str | None = None


class ReferenceOut(BaseModel):
    """A checkpoint that an answer can be read against."""

    checkpoint: CheckpointBrief
    role: str = Field(description="What it is to the checkpoint that answered.")


class TokenScoresIn(In):
    side: Side
    reference_id: uuid.UUID


class TokenScoreOut(BaseModel):
    """A token of the answer: its text, and its log-probability in nats under both checkpoints."""

    text: str
    policy: float
    reference: float


class TokenScoresOut(Out):
    """What two checkpoints think of each token of an answer; `tokens` is null until it is known."""

    id: uuid.UUID
    match_id: uuid.UUID
    created_at: datetime
    side: Side
    reference_id: uuid.UUID
    state: State
    reason: str | None
    remedy: str | None
    tokens: list[TokenScoreOut] | None


class MatchDetailOut(MatchOut):
    """A match, who said what of it, and which matches stand beside it in the filter."""

    evaluation_id: uuid.UUID
    category: str | None
    spoken: list[SpokenOut] = Field(description="`verdicts` with the names of the people.")
    previous: uuid.UUID | None
    next: uuid.UUID | None
    references: dict[Side, list[ReferenceOut]] = Field(description="For each answer, likeliest first.")
