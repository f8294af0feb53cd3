"""What the report card of a judge says: numbers with what is needed to read them, and words that say what follows."""

import uuid
from typing import Literal

from pydantic import BaseModel, Field

from backend.evaluations.report_schemas import MeanOut, RateOut

Scope = Literal["evaluation", "project"]


class WordOut(BaseModel):
    """A sentence that says what follows, and how grave it is."""

    kind: Literal["bad", "warn", "good", "note"]
    text: str


class ConcordanceOut(BaseModel):
    value: float | None
    low: float | None
    high: float | None
    n: int
    level: float
    seed: int
    reason: str | None


class ReliabilityBinOut(BaseModel):
    """Matches on which the judge was about as sure."""

    low: float
    high: float
    n: int
    confidence: float
    right: float
    right_low: float
    right_high: float


class CalibrationOut(BaseModel):
    """Whether the judge is as often right, by what people say, as it is sure."""

    bins: list[ReliabilityBinOut]
    error: float | None = Field(description="Expected calibration error.")
    low: float | None
    high: float | None
    by_chance: float | None = Field(description="What it stays below for a perfectly calibrated judge.")
    brier: float | None
    brier_low: float | None
    brier_high: float | None
    n: int
    prompts: int
    level: float
    seed: int
    reason: str | None


class LikingOut(BaseModel):
    """How the judge takes a property of answers."""

    name: str
    value: float = Field(description="Log odds of preferring the answer with more of it, all else alike.")
    low: float
    high: float
    preferred: float = Field(description="The same as a share.")
    differ: int = Field(description="Prompts on which answers differ in it.")


class DissectionOut(BaseModel):
    """What the judge likes, and how far that foretells its verdicts on prompts it was not fitted on."""

    likings: list[LikingOut]
    foretold: RateOut | None
    baseline: RateOut | None = Field(description="How often the longer answer foretells them.")
    gain: MeanOut | None
    n: int
    prompts: int
    level: float
    seed: int
    reason: str | None


class SelfPreferenceOut(BaseModel):
    """How much more often the judge lets its own answers win than others do (DBG score), from -1 to 1."""

    score: float | None
    low: float | None
    high: float | None
    own: float | None
    gold: float | None
    naive: float | None
    n: int
    prompts: int
    level: float
    seed: int
    reason: str | None


class JudgeCardOut(BaseModel):
    """One judge, over one evaluation or over all of the project that it judged with the same settings."""

    evaluation_id: uuid.UUID
    evaluation: str
    judge: str
    name: str = Field(description="What to call it.")
    scope: Scope
    evaluations: int
    matches: int
    prompts: int
    verdicts: int
    newest_only: bool = Field(description="Whether there are more, and the newest were read.")
    words: list[WordOut]
    consistency: RateOut = Field(description="How often it says the same in both side orders.")
    shown_first: RateOut = Field(description="How often the answer shown first wins.")
    ties: RateOut = Field(description="How often a verdict is a tie.")
    unreadable: RateOut = Field(description="How often a reply holds no verdict.")
    longer: RateOut = Field(description="How often the longer answer wins.")
    undecided: dict[str, int] = Field(description="Verdicts without an answer, by reason.")
    agreement: ConcordanceOut = Field(description="How often it names the winner that people name.")
    kappa: ConcordanceOut = Field(description="The same beyond chance (Cohen).")
    calibration: CalibrationOut
    dissection: DissectionOut
    self_preference: SelfPreferenceOut
