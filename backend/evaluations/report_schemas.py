"""What the report of an evaluation and the tally of the arena say: every number with what is needed to read it."""

import uuid
from typing import Literal

from pydantic import BaseModel, Field

from alignment.statistics import Ties
from backend.evaluations.contamination_schemas import ContaminationOut
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
    mean_probability: float | None = Field(description="That `first` wins, over the verdicts; null without one.")
    verdicts: int
    undecided: dict[str, int] = Field(description="Verdicts without an answer, by reason; part of `verdicts`.")
    contradicted: int = Field(description="Matches whose verdict changed with the side order; they count as ties.")
    both_bad: int


class StandingOut(BaseModel):
    """A contestant's place: its strength in nats against the baseline (the arena's: the mean), and ranks possible."""

    contestant: uuid.UUID
    strength: float
    low: float | None = Field(description="Null where nothing bounds it, or the ranking's `reason` says why.")
    high: float | None
    rank: int
    best: int
    worst: int
    matches: int


class EffectOut(BaseModel):
    """What an ordinary difference in a style is worth to a judge, in nats; null where no two answers differ in it."""

    name: str
    value: float | None
    low: float | None
    high: float | None


class StyledOut(BaseModel):
    """The ranking with length, headings, bold and lists set equal; without standings, `reason` says why."""

    standings: list[StandingOut]
    effects: list[EffectOut]
    n: int
    prompts: int
    level: float
    reason: str | None


class CircleOut(BaseModel):
    """Each contestant beat the next, and the last the first; `p` is small where all three wins are beyond chance."""

    contestants: list[uuid.UUID]
    p: float


class CyclesOut(BaseModel):
    """How many triples are circles, as observed, and between which shares the truth lies."""

    share: float
    low: float
    high: float
    triples: int
    circles: list[CircleOut]
    level: float


class StoppingOut(BaseModel):
    """Whether the evaluation may stop: bounds that hold however often one looks."""

    state: Literal["decided", "equal", "open"]
    rate: float | None
    low: float
    high: float
    evidence: float
    needed: float | None = Field(description="About how many more prompts would decide; null if there is no pace.")
    prompts: int
    margin: float
    level: float
    reason: str | None


class NextOut(BaseModel):
    """How far the interval reaches to each side now, and after `prompts` more verdicts: the most telling, or by lot."""

    prompts: int
    now: float
    guided: float
    by_lot: float


class RankingOut(BaseModel):
    """Contestants by Bradley-Terry strength, a tie half a win of each; without standings, `reason` says why."""

    standings: list[StandingOut]
    groups: list[list[uuid.UUID]] = Field(description="More than one: nobody can be ranked across them.")
    observed: list[list[float | None]] = Field(
        description="Score of the row against the column, both in the order of the evaluation's contestants."
    )
    predicted: list[list[float | None]] = Field(description="What the strengths would give.")
    n: int
    prompts: int
    level: float
    seed: int
    rounds: int
    reason: str | None
    cycles: CyclesOut | None = Field(description="Null where no three have all met each other.")
    styled: StyledOut | None = Field(description="Null in the arena.")


class ControlledOut(BaseModel):
    """The win rate if both had answered at the same length; the effect of length is the judge's."""

    rate: float | None
    low: float | None
    high: float | None
    raw: float | None
    length_ratio: float | None
    effect: float
    n: int
    prompts: int
    level: float
    seed: int
    rounds: int
    method: str
    reason: str | None


class CorrectedOut(BaseModel):
    """The win rate that people would give, from their verdicts on some prompts and the judge's on more."""

    rate: float | None
    low: float | None
    high: float | None
    weight: float | None = Field(description="How far the judge is trusted, from 0 to 1.")
    effective: float | None = Field(description="On how many prompts people alone would say as much.")
    judge_alone: float | None
    people_alone: float | None
    people: int
    judged: int
    level: float
    reason: str | None
    uneven: bool = Field(description="Whether people judged more of some verdicts of the judge than of others.")
    next: NextOut | None = Field(description="What more verdicts of people would do.")


class PublishedOut(BaseModel):
    """AlpacaEval 2's own length-controlled win rate; its error knows nothing of the doubt in the fit, as published."""

    rate: float | None
    standard_error: float | None
    length: float | None = Field(description="The coefficient of length: below 0 the judge likes longer answers.")
    reason: str | None


class AgainstOut(BaseModel):
    """A contestant against the baseline, which is the first one."""

    contestant: uuid.UUID
    prompts: int
    controlled: ControlledOut
    p: float = Field(description="Paired permutation test over prompts, two-sided.")
    p_adjusted: float = Field(description="After Holm, for as many contestants as there are.")
    sign_p: float = Field(description="Exact sign test over prompts.")
    difference: float = Field(description="Mean score less the baseline's, from -1 to 1.")
    detectable: float | None = Field(description="The difference from a half found four times in five; or null.")
    stopping: StoppingOut | None = Field(description="Null where people were handed matches by what they tell.")
    corrected: CorrectedOut | None = Field(description="Null for people's own verdicts.")
    published: PublishedOut | None = Field(None, description="Of imported AlpacaEval annotations.")


class CleanOut(BaseModel):
    """A contestant against the baseline on prompts that either was trained on, and on the others."""

    contestant: uuid.UUID
    seen: RateOut
    unseen: RateOut


class StepRateOut(BaseModel):
    """How a checkpoint of a run did against the baseline: one place of the curve over steps."""

    run_id: uuid.UUID
    step: int
    checkpoint_id: uuid.UUID
    rate: float | None
    low: float | None
    high: float | None
    n: int


class TableOut(BaseModel):
    """Everything one judge, or people together, said."""

    judge: str
    source: Literal["person", "judge"]
    statements: list[str] = Field([], description="What keeps these verdicts from telling anything.")
    pairs: list[PairOut]
    shown_first: RateOut = Field(description="How often the response shown first won: 50 % without position bias.")
    consistency: RateOut | None = Field(
        description="How often a judge said the same in both side orders; null for people, who see one."
    )
    verdicts: int
    unreadable: int = Field(description="Replies of a model that held no verdict; part of `verdicts`, of no rate.")
    one_sided: int = Field(description="Matches that a judge decided in one side order only; they are left out.")
    ranking: RankingOut | None = Field(None, description="Of three contestants or more.")
    against: list[AgainstOut] = Field([], description="Each contestant that met the baseline.")
    clean: list[CleanOut] = Field([], description="Contestants that met the baseline on prompts seen in training.")
    by_step: list[StepRateOut] = Field([], description="Checkpoints of runs against the baseline, by run and step.")


class ContestantOut(CheckpointBrief):
    run_id: uuid.UUID | None = Field(None, description="The run that made it.")
    run: str | None = Field(None, description="That run's name.")
    step: int | None = Field(None, description="After how many of its steps.")
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


class MeasuredOut(BaseModel):
    """A contestant on a task of lm-evaluation-harness; `change` is against the baseline, null for that itself."""

    task: str
    contestant: uuid.UUID
    metric: str
    higher_is_better: bool
    value: float
    low: float | None
    high: float | None
    n: int
    reason: str | None = Field(description="Why there are no bounds.")
    change: float | None
    change_low: float | None
    change_high: float | None
    paired: bool = Field(description="Whether samples were compared one by one; else both errors were.")
    level: float
    seed: int


class ReportOut(BaseModel):
    evaluation: EvaluationOut
    matches: int
    judged_by_people: int
    tables: list[TableOut]
    contestants: list[ContestantOut]
    agreement: list[AgreementOut]
    contamination: ContaminationOut
    measured: list[MeasuredOut] = Field([], description="By lm-evaluation-harness.")
    warnings: list[str]
