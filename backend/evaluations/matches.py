"""An evaluation's matches for reading: filtered by contestant and outcome, with answers and verdicts."""

import uuid
from collections import defaultdict
from collections.abc import Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import ColumnElement, ScalarSelect, and_, case, func, null, or_, select
from sqlalchemy.orm import Session

from backend import paging
from backend.evaluations import cards
from backend.evaluations.models import Evaluation, Match, Source, Verdict
from backend.evaluations.said import ORDERS, PEOPLE, everybody, of
from backend.evaluations.schemas import MatchOut, ResponseOut, VerdictOut

Result = Literal["won", "lost", "tie", "undecided", "contradicted", "failed"]


class Filter(BaseModel):
    """Which matches: of a contestant (against another), and how they ended for it under a judge."""

    model_config = ConfigDict(extra="forbid")

    cursor: str | None = Field(None, max_length=64)
    limit: int = Field(20, ge=1, le=paging.MOST)
    contestant: uuid.UUID | None = None
    against: uuid.UUID | None = None
    outcome: Result | None = Field(None, description="Seen from `contestant`, else from the match's side a.")
    judge: str | None = Field(None, max_length=200, description="A judge's name, or people. Null: everybody.")


def page(session: Session, evaluation: Evaluation, wanted: Filter) -> tuple[list[MatchOut], str | None]:
    """Matches prompt by prompt, and the cursor of the next page."""
    query = select(Match).where(Match.evaluation_id == evaluation.id, *_conditions(wanted))
    shown, following = paging.page(session, query, Match.id, wanted.cursor, wanted.limit, oldest_first=True)
    verdicts: dict[uuid.UUID, list[Verdict]] = defaultdict(list)
    found = select(Verdict).where(Verdict.match_id.in_([match.id for match in shown])).order_by(Verdict.id)
    for verdict in session.scalars(found):
        verdicts[verdict.match_id].append(verdict)
    return [_out(match, verdicts[match.id]) for match in shown], following


def _conditions(wanted: Filter) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    for one in (wanted.contestant, wanted.against):
        if one is not None:
            found.append(or_(Match.checkpoint_a == one, Match.checkpoint_b == one))
    if wanted.outcome is not None:
        found.append(_ended(wanted, wanted.outcome))
    elif wanted.judge is not None:
        found.append(_over(wanted.judge, func.count()) > 0)
    return found


def _ended(wanted: Filter, outcome: Result) -> ColumnElement[bool]:
    score = _score(wanted.judge)
    if outcome == "failed":
        return or_(Match.response_a.has_key("error"), Match.response_b.has_key("error"))
    if outcome == "undecided":
        return score.is_(None)
    if outcome == "tie":
        return score == 0.5
    if outcome == "contradicted":
        judged = Verdict.source == Source.judge
        return _over(wanted.judge, func.count(_outcome().distinct()), judged) > 1
    a_won, a_lost = score > 0.5, score < 0.5
    if outcome == "lost":
        a_won, a_lost = a_lost, a_won
    if wanted.contestant is None:
        return a_won
    is_a = Match.checkpoint_a == wanted.contestant
    return or_(and_(is_a, a_won), and_(~is_a, a_lost))


def _outcome() -> ColumnElement[Any]:
    return case((Verdict.probability > 0.5, 1.0), (Verdict.probability == 0.5, 0.5), else_=0.0)


def _over(judge: str | None, aggregate: Any, *where: ColumnElement[bool]) -> ScalarSelect[Any]:
    """An aggregate over the match's decided verdicts, of one judge when it is named."""
    return select(aggregate).where(*_decided(judge), *where).correlate(Match).scalar_subquery()


def _decided(judge: str | None) -> list[ColumnElement[bool]]:
    where: list[ColumnElement[bool]] = [Verdict.match_id == Match.id, Verdict.probability.is_not(None)]
    if judge == PEOPLE:
        where.append(Verdict.source == Source.person)
    elif judge is not None:
        where.append(Verdict.judge == judge)
    return where


def _score(judge: str | None) -> ScalarSelect[Any]:
    """What `said.everybody` gives, asked of the database."""
    outcome = _outcome()
    one = case(
        (Verdict.source == Source.person, func.avg(outcome)),
        (func.count() < ORDERS, null()),
        (func.min(outcome) == func.max(outcome), func.min(outcome)),
        else_=0.5,
    )
    grouped = select(one.label("score")).where(*_decided(judge)).group_by(Verdict.source, Verdict.judge)
    voices = grouped.correlate(Match).subquery()
    return select(func.avg(voices.c.score)).correlate(Match).scalar_subquery()


def _out(match: Match, verdicts: Sequence[Verdict]) -> MatchOut:
    return MatchOut(
        id=match.id,
        position=match.position,
        prompt=cards.show_prompt(match.prompt),
        a=_response(match.checkpoint_a, match.response_a),
        b=_response(match.checkpoint_b, match.response_b),
        score=everybody(of(match, verdict) for verdict in verdicts),
        verdicts=[VerdictOut.model_validate(verdict) for verdict in verdicts],
    )


def _response(checkpoint_id: uuid.UUID, response: dict[str, Any] | None) -> ResponseOut:
    known = response or {}
    return ResponseOut(
        checkpoint_id=checkpoint_id,
        message=cards.show_response(response),
        tokens=known.get("tokens"),
        ended=known.get("ended"),
        error=known.get("detail") or known.get("error"),
    )
