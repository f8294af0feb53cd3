"""What goes in and out of the routes of evaluations and verdicts. People see and send matches in the order shown."""

import uuid
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationInfo,
    field_validator,
    model_validator,
)

from backend.accounts.schemas import In, Out
from backend.datasets.schemas import Name
from backend.labels.schemas import Rationale, ShownMessage, ValueIn
from backend.prompt_checks.schemas import Category
from backend.work import State

MOST_CONTESTANTS = 6
MOST_AGAINST = 64  # where all meet the baseline alone
MOST_PROMPTS = 10_000
MOST_CARDS = 50


Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=50_000)]
TaskName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.\-]{0,119}$")]
Split = Literal["train", "validation", "test"]
Result = Literal["won", "lost", "tie", "undecided", "contradicted", "unreadable", "differs", "failed"]
Words = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]


class SamplingIn(In):
    """How answers are sampled. Temperature 0 takes the likeliest token each time."""

    temperature: float = Field(
        0.7,
        ge=0,
        le=2,
        allow_inf_nan=False,
        description="0 takes the likeliest token; higher is more varied.",
    )
    top_p: float = Field(
        1.0, gt=0, le=1, allow_inf_nan=False, description="Sample among the likeliest tokens that together have this."
    )
    max_new_tokens: int = Field(256, ge=1, le=2048, description="Longest answer, in tokens.")


class PromptsIn(In):
    """Where prompts come from: a dataset's split, texts, prompt checks, or imported outputs; exactly one of them."""

    dataset_id: uuid.UUID | None = None
    split: Split | None = Field(None, description="Null: every split. Test prompts never enter training.")
    limit: int = Field(100, ge=1, le=MOST_PROMPTS, description="At most this many, drawn by the seed.")
    texts: list[Text] | None = Field(None, max_length=MOST_PROMPTS, description="Empty only beside a harness.")
    checks: list[Category] | None = Field(
        None, max_length=100, description="Prompt checks of these categories; of all, for an empty list."
    )
    outputs_of: uuid.UUID | None = Field(None, description="The prompts that an imported contestant has answered.")

    @model_validator(mode="after")
    def _one(self) -> "PromptsIn":
        if [self.dataset_id, self.texts, self.checks, self.outputs_of].count(None) != 3:
            raise ValueError("give exactly one of dataset_id, texts, checks and outputs_of")
        return self


class HarnessIn(In):
    """What lm-evaluation-harness is to measure on every contestant besides."""

    tasks: list[TaskName] = Field(min_length=1, max_length=20, description="Names of its tasks, or of groups of them.")
    limit: int | None = Field(None, ge=1, le=100_000, description="Documents of each task; null: all.")
    num_fewshot: int | None = Field(None, ge=0, le=64, description="Examples before each question; null: the task's.")
    chat_template: bool = Field(False, description="Put questions into the checkpoint's chat template.")


class HarnessOut(BaseModel):
    """Whether lm-evaluation-harness is installed."""

    installed: bool
    install: str = Field(description="The command that installs it.")
    own_tasks: list[str] = Field(description="Tasks in the folder PLUMBLINE_HARNESS_TASKS.")


class LimitsIn(In):
    """What work may cost at endpoints; it stops before a request that could go beyond."""

    money: float | None = Field(None, gt=0, le=1e9, allow_inf_nan=False, description="In the currency of the prices.")
    tokens: int | None = Field(None, ge=1, le=2**40, description="Read and written together.")


class EvaluationIn(In):
    name: Name
    run_id: uuid.UUID | None = Field(
        None, description="Every checkpoint of this run that is still there takes part, against the baseline alone."
    )
    pairing: Literal["all", "baseline"] = Field("all", description="Who meets whom: everybody, or all the baseline.")
    contestants: list[uuid.UUID] = Field(
        max_length=MOST_AGAINST,
        description="Checkpoints; the first is the baseline of the others. With run_id none is needed.",
    )
    prompts: PromptsIn
    judge: dict[str, Any] = Field(description="`{name, …}` of one of GET /judges.")
    sampling: SamplingIn = SamplingIn()
    seed: int = Field(0, ge=0, le=2**31 - 1)
    harness: HarnessIn | None = Field(None, description="Needs the extra `evals`; see GET /harness.")
    reuse: bool = Field(True, description="Take answers and verdicts of earlier evaluations where they are the same.")
    limits: LimitsIn | None = None

    @field_validator("contestants")
    @classmethod
    def _enough(cls, contestants: list[uuid.UUID], info: ValidationInfo) -> list[uuid.UUID]:
        if len(set(contestants)) != len(contestants):
            raise ValueError("every checkpoint may be named once")
        if info.data.get("run_id") is not None:
            return contestants
        if len(contestants) < 2:
            raise ValueError("name two checkpoints at least")
        if info.data.get("pairing") == "all" and len(contestants) > MOST_CONTESTANTS:
            raise ValueError(f"at most {MOST_CONTESTANTS} checkpoints, unless all meet the baseline alone")
        return contestants


class CheckpointBrief(Out):
    id: uuid.UUID
    name: str
    toy: bool


class ExpectedOut(BaseModel):
    """An estimate."""

    low: float
    high: float


class CostOut(BaseModel):
    """What endpoints are expected to cost; `unpriced` are those that nobody gave a price."""

    requests: int
    tokens: ExpectedOut
    money: ExpectedOut
    unpriced: list[str]


class SpentOut(BaseModel):
    """What work has cost at endpoints so far."""

    requests: int = 0
    read: int = Field(0, description="Tokens of questions.")
    written: int = Field(0, description="Tokens of answers.")
    money: float = 0
    estimated: int = Field(
        0,
        description="Requests whose tokens nobody told: a quarter of the characters, or the most there can be.",
    )


class TakenOut(BaseModel):
    """What is taken from earlier evaluations instead of being asked again."""

    answers: int = 0
    verdicts: int = 0


class SizeOut(BaseModel):
    """What an evaluation would take, before it is started."""

    prompts: int
    available: int = Field(description="Distinct prompts at the source.")
    responses: int
    matches: int
    verdicts: int = Field(description="Both side orders of every match; 0 when people judge.")
    tokens_at_most: int
    taken: TakenOut = Field(description="Answers and verdicts that earlier evaluations hold already.")
    cost: CostOut | None = Field(description="Null where no endpoint is asked.")
    seconds: ExpectedOut | None = Field(description="By earlier evaluations of these contestants; null without one.")
    warnings: list[str]


class EvaluationOut(Out):
    id: uuid.UUID
    created_at: datetime
    name: str
    contestants: list[CheckpointBrief]
    prompts: dict[str, Any]
    judge: dict[str, Any]
    judge_model: CheckpointBrief | None = Field(description="The model that judges in words, if one does.")
    judge_models: dict[str, CheckpointBrief] = Field({}, description="Models that the judge asks, by its fields.")
    sampling: dict[str, Any]
    seed: int
    pairing: str | None = Field(description="`baseline`: only the first contestant meets the others.")
    harness: HarnessIn | None
    reuse: bool | None
    taken: TakenOut | None
    limits: LimitsIn | None
    spent: SpentOut | None
    state: State
    reason: str | None
    remedy: str | None
    stop_requested: bool
    done: int
    total: int
    attempts: int
    started_at: datetime | None
    finished_at: datetime | None


class ResumeEvaluationIn(In):
    """How an evaluation is to go on; other limits where the old ones were reached."""

    limits: LimitsIn | None = None


class JudgeOut(BaseModel):
    """A part that decides matches; `schema` describes its fields."""

    model_config = ConfigDict(populate_by_name=True)

    name: str
    title: str
    summary: str
    decided_by: Literal["part", "people", "model", "scores"]
    parameters: dict[str, Any] = Field(alias="schema")


class ResponseOut(BaseModel):
    checkpoint_id: uuid.UUID
    message: ShownMessage | None
    tokens: int | None
    ended: bool | None
    error: str | None


class VerdictOut(Out):
    """One judgement in match order: `probability` is that of `a` winning."""

    id: uuid.UUID
    source: str
    judge: str | None
    swapped: bool
    probability: float | None
    reason: str | None
    value: dict[str, Any] | None
    scores: list[dict[str, Any]] | None
    text: str | None
    created_at: datetime


class MatchOut(BaseModel):
    id: uuid.UUID
    position: int
    prompt: list[ShownMessage]
    a: ResponseOut
    b: ResponseOut
    score: float | None = Field(description="Outcome of `a`, 1 won and 0 lost, averaged over people and each judge.")
    verdicts: list[VerdictOut]


class MatchFilter(BaseModel):
    """Which matches: of a contestant (against another), how they ended for it under a judge, how long, about what."""

    model_config = ConfigDict(extra="forbid")

    contestant: uuid.UUID | None = None
    against: uuid.UUID | None = None
    outcome: Result | None = Field(
        None,
        description="Seen from `contestant`, else from side a. `differs`: people from the judge.",
    )
    judge: str | None = Field(None, max_length=200, description="A judge's name, or people. Null: everybody.")
    min_ratio: float | None = Field(
        None, ge=1, le=1000, allow_inf_nan=False, description="The longer answer has so many times the characters."
    )
    min_words: int | None = Field(None, ge=1, le=100_000, description="The longer answer has so many words more.")
    category: Words | None = Field(None, description="The prompt's, where its dataset tells one.")
    in_training: bool | None = Field(
        None, description="The prompt stands in what `contestant`, else either, was trained on; or it does not."
    )
    text: Words | None = Field(None, description="Stands in the prompt or an answer, whatever the case.")


class MatchCardsIn(In):
    n: int = Field(1, ge=1, le=MOST_CARDS)
    holding: list[uuid.UUID] = Field([], max_length=1000, description="Matches whose cards the client has already.")
    order: Literal["lot", "telling"] = Field(
        "lot", description="`telling`: first those that narrow the judge's corrected win rates most."
    )


class MatchCard(BaseModel):
    """A match to judge, blind."""

    match_id: uuid.UUID
    position: int
    prompt: list[ShownMessage]
    left: ShownMessage
    right: ShownMessage
    guided: bool = Field(False, description="Handed out because it tells much, not by lot; sent back with the verdict.")


class JudgingOut(BaseModel):
    """How far people are with an evaluation's matches."""

    total: int
    by_you: int
    by_anyone: int
    left: int


class MatchCardsOut(BaseModel):
    evaluation_id: uuid.UUID
    name: str
    cards: list[MatchCard]
    progress: JudgingOut


class VerdictIn(In):
    client_id: uuid.UUID = Field(description="Made by the client; the same verdict sent twice is stored once.")
    value: ValueIn
    seconds: float = Field(ge=0, le=86_400, allow_inf_nan=False)
    rationale: Rationale | None = None
    guided: bool | None = Field(None, description="What an evaluation's card said; null: not written down.")


class OwnVerdictOut(BaseModel):
    """The caller's own verdict in the order they saw."""

    id: uuid.UUID
    match_id: uuid.UUID
    value: dict[str, Any]
    created_at: datetime


class JudgedOut(BaseModel):
    """One's own verdict, and how far people are; no names, for whoever judges more of them stays blind."""

    verdict: OwnVerdictOut
    progress: JudgingOut


class VerdictUndoneOut(BaseModel):
    """The match that comes back."""

    card: MatchCard
    progress: JudgingOut


class MatchExportIn(In):
    """Which matches become items, and where: exactly one of `evaluation_id` and `arena`, of `name` and `dataset_id`."""

    evaluation_id: uuid.UUID | None = None
    arena: bool = False
    name: Name | None = None
    dataset_id: uuid.UUID | None = None
    judges: bool = Field(False, description="Also take what automatic judges said, as labels of source `judge`.")
    bare: bool = Field(False, description="Take every answered match, and no verdict: items that are to be labelled.")
    filter: MatchFilter | None = Field(None, description="Only these matches of the evaluation.")

    @model_validator(mode="after")
    def _one(self) -> "MatchExportIn":
        if (self.evaluation_id is None) != self.arena:
            raise ValueError("give exactly one of evaluation_id and arena")
        if (self.name is None) == (self.dataset_id is None):
            raise ValueError("give exactly one of name and dataset_id")
        if self.bare and self.judges:
            raise ValueError("judges: items that are to be labelled take no verdicts along")
        if self.arena and self.filter is not None:
            raise ValueError("filter: only an evaluation's matches are filtered")
        return self


class MatchExportOut(BaseModel):
    """What an export did; matches that could not become pairs are counted by reason."""

    dataset_id: uuid.UUID
    dataset: str
    items: int
    labels: int = Field(description="Labels that were not there before.")
    trainable: int = Field(description="Items in the training split; test prompts never enter training.")
    left_out: dict[str, int]
