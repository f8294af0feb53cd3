"""Matches shown blind: side order by person, text by the safe renderer, and which match a person judges next."""

import hashlib
import uuid
from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import ColumnElement, case, exists, func, select
from sqlalchemy.orm import Session

from backend.evaluations.models import Evaluation, Match, Source, Verdict
from backend.evaluations.schemas import JudgingOut, MatchCard
from backend.labels.messages import shown
from backend.labels.schemas import ShownMessage
from backend.work import State


def swapped(match_id: uuid.UUID, person_id: uuid.UUID) -> bool:
    """Whether this person sees `response_b` on the left: random over matches and people, for ever the same."""
    return bool(hashlib.sha256(f"{match_id}:{person_id}".encode()).digest()[0] & 1)


def show_prompt(prompt: list[dict[str, Any]]) -> list[ShownMessage]:
    return [shown(message) for message in prompt]


def show_response(response: dict[str, Any] | None) -> ShownMessage | None:
    """The answer; None when there is none (yet)."""
    return shown({"role": "assistant", "content": response["content"]}) if response and "content" in response else None


def show_sides(match: Match, person_id: uuid.UUID) -> tuple[ShownMessage | None, ShownMessage | None]:
    """The two answers as this person sees them, left and right."""
    sides = show_response(match.response_a), show_response(match.response_b)
    return (sides[1], sides[0]) if swapped(match.id, person_id) else sides


def next_cards(
    session: Session,
    evaluation: Evaluation,
    person_id: uuid.UUID,
    n: int,
    holding: Collection[uuid.UUID],
    first: Sequence[uuid.UUID] = (),
) -> list[MatchCard]:
    """Up to `n` matches that the person has not judged: `first` in their order, the least judged, then by lot.

    Nobody is handed a match twice; two people may judge the same one, which tells how far they agree.
    """
    judged = select(func.count()).where(Verdict.match_id == Match.id, Verdict.source == Source.person)
    lot = func.md5(func.concat(Match.id, str(person_id)))
    ranks = {one: place for place, one in enumerate(first)}
    sooner = [case(ranks, value=Match.id, else_=len(first))] if first else []
    query = (
        select(Match)
        .where(*judgeable(evaluation.id), ~_judged_by(person_id), Match.id.not_in(holding))
        .order_by(*sooner, judged.scalar_subquery(), lot)
        .limit(n)
    )
    return [card(match, person_id, guided=match.id in ranks) for match in session.scalars(query)]


def judgeable(evaluation_id: uuid.UUID) -> tuple[ColumnElement[bool], ...]:
    """Matches with two answers."""
    return (
        Match.evaluation_id == evaluation_id,
        Match.state == State.succeeded,
        Match.response_a.has_key("content"),
        Match.response_b.has_key("content"),
    )


def judging(session: Session, evaluation_id: uuid.UUID, person_id: uuid.UUID) -> JudgingOut:
    """How far people are with the evaluation's matches."""
    by_anyone = exists().where(Verdict.match_id == Match.id, Verdict.source == Source.person)
    total, by_you, anyone = session.execute(
        select(
            func.count(),
            func.count().filter(_judged_by(person_id)),
            func.count().filter(by_anyone),
        ).where(*judgeable(evaluation_id))
    ).one()
    return JudgingOut(total=total, by_you=by_you, by_anyone=anyone, left=total - by_you)


def _judged_by(person_id: uuid.UUID) -> ColumnElement[bool]:
    mine = Verdict.source == Source.person, Verdict.annotator_id == person_id
    return exists().where(Verdict.match_id == Match.id, *mine)


def card(match: Match, person_id: uuid.UUID, *, guided: bool = False) -> MatchCard:
    """The match as this person judges it."""
    left, right = show_sides(match, person_id)
    assert left is not None  # noqa: S101  (judgeable matches have both answers)
    assert right is not None  # noqa: S101
    return MatchCard(
        match_id=match.id,
        position=match.position,
        prompt=show_prompt(match.prompt),
        left=left,
        right=right,
        guided=guided,
    )
