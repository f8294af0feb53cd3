"""What goes in and out of the routes of quality: every number with what is needed to read it."""

import uuid
from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from alignment.statistics.coefficients import Name
from backend.accounts.schemas import In, Out
from backend.labels.schemas import AnswerIn, OwnLabelOut, Rationale, ShownMessage
from backend.work import State


class CoefficientOut(Out):
    """A measure of agreement; null numbers have a `reason`."""

    name: Name
    value: float | None
    low: float | None
    high: float | None
    n: int = Field(description="Items that at least two annotators judged.")
    labels: int = Field(description="Labels on those items.")
    level: float
    seed: int
    rounds: int = Field(description="How often the items were drawn anew for the interval.")
    reason: str | None


class WhoOut(Out):
    """An annotator: a member, or one of an imported file, who has no id here."""

    annotator_id: uuid.UUID | None
    name: str


class PairAgreementOut(Out):
    """How far two annotators agree on the items that both judged."""

    first: WhoOut
    second: WhoOut
    percent: CoefficientOut
    kappa: CoefficientOut


class LabelAgreementOut(Out):
    """How far annotators agree, and what that is counted of."""

    kind: Literal["pair", "ranking", "thumb"]
    items: int = Field(description="Items with a judgement.")
    labels: int
    skips: int = Field(description="Skips, which are no judgements; part of nothing else.")
    aided: int = Field(description="Judgements made beside a suggestion that was shown; part of `labels`.")
    surplus: int = Field(description="Judgements beyond those that the task wanted; part of `labels`.")
    annotators: int
    labels_per_item: dict[int, int] = Field(description="How many items have so many judgements.")
    choices: dict[str, int] = Field(description="How often each answer was given, in the order of the item.")
    coefficients: list[CoefficientOut]
    pairs: list[PairAgreementOut] = Field(description="Of every two of those who judged most.")
    pairs_of: int = Field(description="Of how many annotators `pairs` tells.")


class ShareOut(Out):
    """A share with Wilson's interval; null numbers have a `reason`."""

    value: float | None
    low: float | None
    high: float | None
    hits: int
    n: int
    level: float
    method: Literal["wilson", "none"]
    reason: str | None


class TestedShareOut(Out):
    """A share, and how probable one as far from a half is by chance (two-sided binomial test)."""

    rate: ShareOut
    p_value: float | None


class AnnotatorOut(WhoOut):
    """What the labels of one annotator say about them."""

    origin: str = Field(description="Who judged: a `person` here, or what an imported file says.")
    labels: int = Field(description="Judgements that count.")
    skips: int
    both_bad: int
    surplus: int | None = Field(description="Researchers alone see this, `gold` and `agreement`.")
    aided: int
    gold: ShareOut | None = Field(description="Right answers among items whose answer is known.")
    agreement: ShareOut | None = Field(description="Judgements that are those of most others, where most others agree.")
    left_side: TestedShareOut = Field(description="The response on the left, among choices of one side.")
    longer_side: TestedShareOut = Field(description="The longer response, among choices of one side.")
    ties: ShareOut
    too_fast: ShareOut = Field(description="Judged sooner than the responses can be read (`too_fast_rule`).")
    median_seconds: float | None


class AnnotatorsOut(Out):
    """Annotators, those with most judgements first."""

    items: list[AnnotatorOut]
    next_cursor: str | None
    too_fast_rule: str


class DisagreementOut(Out):
    """An item on which people disagree, blind: in the side order of whoever looks at it, without the votes."""

    item_id: uuid.UUID
    dataset_id: uuid.UUID
    position: int
    kind: Literal["pair", "ranking", "thumb"]
    labels: int = Field(description="How many judged it.")
    disagreement: float = Field(description="Share of pairs of judgements that differ.")
    prompt: list[ShownMessage]
    responses: list[ShownMessage] = Field(description="In the order shown, in which an adjudication is sent.")


class SettlingIn(AnswerIn):
    """An answer that settles an item: exactly one of strength, both_bad, ranking and thumb, in the order shown."""

    skip: None = None


class AdjudicationIn(In):
    client_id: uuid.UUID = Field(description="Made by the client; the same adjudication sent twice is stored once.")
    value: SettlingIn
    rationale: Rationale | None = None


class VoteOut(Out):
    """What somebody said of the item, in the order shown to the one who reads it."""

    annotator_id: uuid.UUID | None
    annotator: str | None
    value: dict[str, Any]
    rationale: str | None
    seconds: float | None
    surplus: bool
    created_at: datetime


class AdjudicatedOut(Out):
    """The answer that stands, and only now what the others said."""

    label: OwnLabelOut
    votes: list[VoteOut]


class QualityLabelOut(Out):
    """A label with all that is known of how it came about; `value` is in the order of the item."""

    id: uuid.UUID
    item_id: uuid.UUID
    position: int
    annotator_id: uuid.UUID | None
    annotator: str | None
    source: str
    value: dict[str, Any]
    version: int
    counts: bool = Field(description="It is its annotator's newest of the item, and was not taken back.")
    seconds: float | None
    side: Literal["left", "right"] | None = Field(description="Where the response stood that was chosen of two.")
    surplus: bool
    aided: dict[str, Any] | None
    rationale: str | None
    created_at: datetime


class BoundsOut(Out):
    """An interval by items drawn again and again; without bounds a reason says why."""

    low: float | None
    high: float | None
    reason: str | None


class ReliableOut(WhoOut):
    """How far an annotator can be trusted, as two models have it; null where a model does not apply."""

    labels: int
    accuracy: float | None = Field(description="Dawid and Skene: how often they give the right answer.")
    reliability: float | None = Field(description="Crowd-BT: how often they choose as the scores of responses would.")
    accuracy_bounds: BoundsOut | None = None
    reliability_bounds: BoundsOut | None = None


class ReliabilitiesOut(Out):
    """What the models found; `null` reasons mean that they apply."""

    annotators: list[ReliableOut]
    items: int
    labels: int
    converged: dict[str, bool]
    iterations: dict[str, int]
    rounds: dict[str, int] = Field({}, description="Of the bootstrap over items; none in estimates of before it.")
    level: float | None = Field(None, description="Of the intervals.")
    seed: int | None = Field(None, description="Of the items drawn.")
    reasons: dict[str, str] = Field(description="Models that do not apply, and why.")


class ReliabilityJobOut(Out):
    """Work that estimates reliabilities; `result` is there when it has succeeded."""

    id: uuid.UUID
    created_at: datetime
    dataset_id: uuid.UUID
    task_id: uuid.UUID | None
    state: State
    reason: str | None
    remedy: str | None
    done: int
    total: int
    started_at: datetime | None
    finished_at: datetime | None
    result: ReliabilitiesOut | None
