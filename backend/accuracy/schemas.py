"""What goes in and out of the routes of accuracy on labelled pairs."""

import uuid
from datetime import datetime
from typing import Any

from pydantic import Field

from backend.accounts.schemas import In, Json, Out
from backend.evaluations.report_schemas import RateOut
from backend.evaluations.schemas import CheckpointBrief, LimitsIn, SpentOut, Split
from backend.work import State

MOST_PAIRS = 5_000


class AccuracyIn(In):
    """Which judge, and on which of the dataset's labelled pairs."""

    judge: Json = Field(description="`{name, …}` of one of GET /judges that decides by itself.")
    split: Split | None = Field(None, description="Null: every split.")
    limit: int = Field(1_000, ge=1, le=MOST_PAIRS, description="At most this many pairs, drawn by the seed.")
    seed: int = Field(0, ge=0, le=2**31 - 1)
    limits: LimitsIn | None = None


class ResumeAccuracyIn(In):
    """How measuring is to go on; other limits where the old ones were reached."""

    limits: LimitsIn | None = None


class AccuracyPart(Out):
    """One subset of the pairs, as their fact `meta.subset` names it; every pair for the empty name."""

    subset: str
    accuracy: RateOut = Field(description="Pairs in which the chosen response won in both orders; a tie counts half.")
    undecided: int = Field(description="Pairs without a verdict in both orders; the accuracy leaves them out.")


class AccuracyFound(Out):
    """What the verdicts amount to."""

    parts: list[AccuracyPart] = Field(description="All pairs first, then subset by subset.")
    consistency: RateOut = Field(description="Pairs decided in both orders on which both say the same.")
    shown_first: RateOut = Field(description="How often the response that was shown first won; a half without bias.")
    reasons: dict[str, int] = Field(description="Verdicts that came to nothing, by reason.")
    left_out: dict[str, int] = Field(description="Pairs without a clear label, by reason.")
    statements: list[str] = Field(description="What is wrong with the judge, in sentences.")
    wrong: list[uuid.UUID] = Field(description="Items in which the rejected response won, the first hundred.")


class AccuracyOut(Out):
    id: uuid.UUID
    created_at: datetime
    dataset_id: uuid.UUID
    dataset: str
    judge: dict[str, Any]
    judge_models: dict[str, CheckpointBrief]
    pairs: dict[str, Any] = Field(description="Split, limit and seed that were asked for.")
    state: State
    reason: str | None
    remedy: str | None
    stop_requested: bool
    done: int
    total: int
    limits: LimitsIn | None
    spent: SpentOut | None
    started_at: datetime | None
    finished_at: datetime | None
    result: AccuracyFound | None
