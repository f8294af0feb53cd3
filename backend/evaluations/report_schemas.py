"""What the report of an evaluation and the tally of the arena say: every number with what is needed to read it."""

import uuid
from typing import Literal

from pydantic import BaseModel, Field

from alignment.statistics import Ties
from backend.evaluations.schemas import CheckpointBrief, EvaluationOut


class RateOut(BaseModel):
    """A win rate with all that is needed to read it; null numbers have a `reason`."""

    rate: float | None
    low: float | None
    high: float | None
    n: int
    prompts: int
    wins: int
    ties: int
    losses: int
    tie_rule: Ties
    level: float
    seed: int
    method: str
    reason: str | None


class MeanOut(BaseModel):
    mean: float | None
    low: float | None
    high: float | None
    n: int
    prompts: int
    level: float
    seed: int
    method: str
    reason: str | None


class PairOut(BaseModel):
    """How `first` did against `second` under one judge."""

    first: uuid.UUID
    second: uuid.UUID
    win_rate: RateOut
    verdicts: int
    undecided: dict[str, int] = Field(description="Verdicts without an answer, by reason; part of `verdicts`.")
    contradicted: int = Field(description="Matches whose verdict changed with the side order; they count as ties.")
    both_bad: int


class TableOut(BaseModel):
    """Everything one judge, or people together, said."""

    judge: str
    source: Literal["person", "judge"]
    pairs: list[PairOut]
    shown_first: RateOut = Field(description="How often the response shown first won: 50 % without position bias.")
    consistency: RateOut | None = Field(
        description="How often a judge said the same in both side orders; null for people, who see one."
    )
    verdicts: int
    unreadable: int = Field(description="Replies of a model that held no verdict; part of `verdicts`, of no rate.")
    one_sided: int = Field(description="Matches that a judge decided in one side order only; they are left out.")


class ContestantOut(CheckpointBrief):
    responses: int
    failed: dict[str, int] = Field(description="Prompts without an answer, by reason.")
    length: MeanOut = Field(description="Characters.")
    cut: int = Field(description="Answers that ended at the longest length.")
    scores: dict[str, MeanOut] = Field(description="What an automatic judge measured on each answer.")


class AgreementOut(BaseModel):
    """How often people and the judge named the same winner."""

    judge: str
    n: int
    agreed: int
    kappa: float | None


class ReportOut(BaseModel):
    evaluation: EvaluationOut
    matches: int
    judged_by_people: int
    tables: list[TableOut]
    contestants: list[ContestantOut]
    agreement: list[AgreementOut]
    warnings: list[str]
