"""Tables of evaluations, battles, the matches of both, verdicts, scores of tokens, seen prompts, matches' items."""

import uuid
from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar

from sqlalchemy import Computed, Enum, ForeignKey, Index, String, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from backend.db import NULLABLE_JSON, Base, ProjectRow
from backend.work import ENDED, State, Tried, Work

REMOVED = "removed"  # the error of an answer that a retention rule deleted
WORDS_APART = r"abs(regexp_count(response_a ->> 'content', '\S+') - regexp_count(response_b ->> 'content', '\S+'))"
"""How many words one answer has more than the other, counted by the database when an answer is stored."""


class Source(StrEnum):
    """Who gave a verdict: a person, a judge part in each side order, or another tool that told no order."""

    person = "person"
    judge = "judge"
    imported = "imported"


class Evaluation(Tried, ProjectRow, Base):
    """Two or more checkpoints answering the same prompts, and who judges; `attempts` counts workers that began it.

    `pairing` is `baseline` when only the first contestant meets the others, else null. Unless `reuse`, nothing is taken
    from earlier evaluations; `taken` counts the answers and verdicts that were. `limits` caps what it may cost, and
    `spent` is what it has cost. `harness` is what lm-evaluation-harness is asked besides (`HarnessIn`), and `measured`
    what it found, by contestant and task (`HarnessFound`).
    `published` is AlpacaEval 2's own rate of imported annotations, by contestant.
    """

    __tablename__ = "evaluations"
    __table_args__ = (Index("ix_evaluations_project_id_id", "project_id", "id"),)
    name: Mapped[str]
    contestants: Mapped[list[str]]
    prompts: Mapped[dict[str, Any]]
    judge: Mapped[dict[str, Any]]
    sampling: Mapped[dict[str, Any]]
    seed: Mapped[int]
    pairing: Mapped[str | None]
    reuse: Mapped[bool | None]
    taken: Mapped[dict[str, int] | None] = mapped_column(NULLABLE_JSON)
    limits: Mapped[dict[str, Any] | None] = mapped_column(NULLABLE_JSON)
    spent: Mapped[dict[str, Any] | None] = mapped_column(NULLABLE_JSON)
    harness: Mapped[dict[str, Any] | None] = mapped_column(NULLABLE_JSON)
    measured: Mapped[dict[str, Any] | None] = mapped_column(NULLABLE_JSON)
    published: Mapped[dict[str, Any] | None] = mapped_column(NULLABLE_JSON)
    created_by: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("users.id", ondelete="SET NULL"))

    TOLD: ClassVar[Mapping[State, str]] = dict.fromkeys(ENDED, "evaluation.finished")

    def story(self) -> dict[str, Any]:
        return {"name": self.name, "contestants": self.contestants, "matches": self.done}


class Battle(Work, ProjectRow, Base):
    """Two to four checkpoints answering one turn of a person's conversation in the arena, blind till it is revealed.

    `first_id` is the conversation's first battle, null in that one. `contestants` are ids of checkpoints in the order
    shown, drawn by lot; `answers` has a response for each, and is null until the battle has ended and where a retention
    rule deleted them. `message` is what the person said in this turn, `prompt_hash` that of the first one. `value` is
    the vote in the order shown; `revealed_at` is set in the whole conversation when its names are told.
    """

    __tablename__ = "battles"
    __table_args__ = (
        UniqueConstraint("first_id", "turn"),
        Index("ix_battles_created_by_id", "created_by", "id"),
        Index(
            "ix_battles_contestants",
            "contestants",
            postgresql_using="gin",
            postgresql_ops={"contestants": "jsonb_path_ops"},
        ),
    )
    first_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("battles.id", ondelete="CASCADE"))
    turn: Mapped[int] = mapped_column(default=1)
    contestants: Mapped[list[str]]
    message: Mapped[list[dict[str, Any]]]
    prompt_hash: Mapped[str] = mapped_column(String(64))
    answers: Mapped[list[dict[str, Any]] | None] = mapped_column(NULLABLE_JSON)
    sampling: Mapped[dict[str, Any]]
    seed: Mapped[int]
    value: Mapped[dict[str, Any] | None] = mapped_column(NULLABLE_JSON)
    client_id: Mapped[uuid.UUID | None]
    revealed_at: Mapped[datetime | None]
    created_by: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("users.id", ondelete="SET NULL"))


class Match(Work, ProjectRow, Base):
    """Two checkpoints answering one prompt, in an evaluation, or in a battle of the arena that has its vote.

    `category` is the prompt's, where the dataset that it was drawn from tells one. `expects` is what a good answer must
    keep, where the prompt is one of the project's prompt checks.
    A response is `{content, tokens, ended}`, or `{error, detail}` when the checkpoint could not answer; `before` has
    what stands between the prompt and it, where the two conversations of a battle had parted. `key_a` and `key_b` are
    digests of what an evaluation asked, and of whom (`known.answer_key`).
    """

    __tablename__ = "matches"
    __table_args__ = (
        UniqueConstraint("evaluation_id", "position", "checkpoint_a", "checkpoint_b"),
        Index("ix_matches_created_by_id", "created_by", "id"),
        Index("ix_matches_evaluation_id_id", "evaluation_id", "id"),
        Index("ix_matches_battle_id", "battle_id", postgresql_where=text("battle_id IS NOT NULL")),
        Index("ix_matches_key_a", "key_a", postgresql_where=text("key_a IS NOT NULL")),
        Index("ix_matches_key_b", "key_b", postgresql_where=text("key_b IS NOT NULL")),
    )
    evaluation_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("evaluations.id", ondelete="CASCADE"))
    battle_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("battles.id", ondelete="CASCADE"))
    position: Mapped[int] = mapped_column(default=0)
    prompt: Mapped[list[dict[str, Any]]]
    prompt_hash: Mapped[str] = mapped_column(String(64))
    category: Mapped[str | None]
    expects: Mapped[dict[str, Any] | None] = mapped_column(NULLABLE_JSON)
    checkpoint_a: Mapped[uuid.UUID] = mapped_column(ForeignKey("checkpoints.id", ondelete="CASCADE"), index=True)
    checkpoint_b: Mapped[uuid.UUID] = mapped_column(ForeignKey("checkpoints.id", ondelete="CASCADE"), index=True)
    response_a: Mapped[dict[str, Any] | None] = mapped_column(NULLABLE_JSON)
    response_b: Mapped[dict[str, Any] | None] = mapped_column(NULLABLE_JSON)
    key_a: Mapped[str | None] = mapped_column(String(64))
    key_b: Mapped[str | None] = mapped_column(String(64))
    words_apart: Mapped[int | None] = mapped_column(Computed(WORDS_APART, persisted=True))
    sampling: Mapped[dict[str, Any]]
    seed: Mapped[int]
    created_by: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("users.id", ondelete="SET NULL"))


class Verdict(ProjectRow, Base):
    """One judgement of a match; never changed.

    `probability` is that of `response_a` winning, null with a `reason`. `swapped` tells that `response_b` was shown
    first. `value` is a person's vote in item order, as in a label. `scores` are a judge's facts about the two
    responses, in item order. `guided` tells that a person was handed the match because it tells much, not by lot; null
    where nobody wrote it down. `key` is the digest of what a model was asked to compare (`known.verdict_key`).
    """

    __tablename__ = "verdicts"
    __table_args__ = (
        Index(
            "uq_verdicts_match_id_annotator_id",
            "match_id",
            "annotator_id",
            unique=True,
            postgresql_where=text("source = 'person'"),
        ),
        Index(
            "uq_verdicts_match_id_judge_swapped",
            "match_id",
            "judge",
            "swapped",
            unique=True,
            postgresql_where=text("source = 'judge'"),
        ),
        Index("ix_verdicts_key", "key", postgresql_where=text("key IS NOT NULL")),
    )
    match_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("matches.id", ondelete="CASCADE"), index=True)
    source: Mapped[Source] = mapped_column(Enum(Source, native_enum=False, length=16, create_constraint=False))
    judge: Mapped[str | None]
    annotator_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("users.id", ondelete="SET NULL"), index=True)
    swapped: Mapped[bool]
    probability: Mapped[float | None]
    reason: Mapped[str | None]
    value: Mapped[dict[str, Any] | None] = mapped_column(NULLABLE_JSON)
    scores: Mapped[list[dict[str, Any]] | None] = mapped_column(NULLABLE_JSON)
    text: Mapped[str | None]
    seconds: Mapped[float | None]
    key: Mapped[str | None] = mapped_column(String(64))
    guided: Mapped[bool | None]
    client_id: Mapped[uuid.UUID | None] = mapped_column(unique=True)


class TokenScores(Tried, ProjectRow, Base):
    """What the checkpoint that answered on a side, and a reference, think of each token of that answer.

    `result` is `{tokens, policy, reference, kl}`: texts, log-probabilities and the divergence over the vocabulary in
    nats (null where the two have different numbers of logits; older rows lack it); null until it is known.
    """

    __tablename__ = "token_scores"
    __table_args__ = (UniqueConstraint("match_id", "side", "reference_id"),)
    match_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("matches.id", ondelete="CASCADE"))
    side: Mapped[str] = mapped_column(String(1))
    reference_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("checkpoints.id", ondelete="CASCADE"), index=True)
    result: Mapped[dict[str, Any] | None] = mapped_column(NULLABLE_JSON)
    created_by: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("users.id", ondelete="SET NULL"))


class Contamination(Tried, ProjectRow, Base):
    """Looking for an evaluation's prompts in what its contestants were trained on; `done` and `total` count examples.

    `result` is `{prompts, contestants: {id: {exact, overlapping}}}`; null until it is known.
    """

    __tablename__ = "contaminations"
    evaluation_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("evaluations.id", ondelete="CASCADE"), unique=True)
    result: Mapped[dict[str, Any] | None] = mapped_column(NULLABLE_JSON)


class SeenPrompt(Base):
    """A prompt of an evaluation that stands in what a contestant was trained on: word for word, or a share of it."""

    __tablename__ = "seen_prompts"
    evaluation_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("evaluations.id", ondelete="CASCADE"), primary_key=True)
    prompt_hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    checkpoint_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("checkpoints.id", ondelete="CASCADE"), primary_key=True, index=True
    )
    exact: Mapped[bool]
    share: Mapped[float]


class Output(Base):
    """What a contestant that is known by imported outputs alone answered to a prompt, as `matches` hold answers."""

    __tablename__ = "outputs"
    checkpoint_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("checkpoints.id", ondelete="CASCADE"), primary_key=True)
    prompt_hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    project_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"), index=True)
    prompt: Mapped[list[dict[str, Any]]]
    answer: Mapped[dict[str, Any]]


class MatchItem(Base):
    """The item that a match became in a dataset."""

    __tablename__ = "match_items"
    match_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("matches.id", ondelete="CASCADE"), primary_key=True)
    dataset_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("datasets.id", ondelete="CASCADE"), primary_key=True)
    item_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("items.id", ondelete="CASCADE"), index=True)
