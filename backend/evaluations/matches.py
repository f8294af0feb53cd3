"""An evaluation's matches for reading: filtered, with answers and verdicts; one with those beside it."""

import uuid
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from pydantic import Field
from sqlalchemy import select
from sqlalchemy.orm import Session

from backend import paging
from backend.accounts.models import User
from backend.errors import NotFound
from backend.evaluations import cards
from backend.evaluations import token_scores as scoring
from backend.evaluations.comparison_schemas import MatchDetailOut, SpokenOut
from backend.evaluations.filters import within
from backend.evaluations.models import Evaluation, Match, Verdict
from backend.evaluations.said import everybody, of
from backend.evaluations.schemas import MatchFilter, MatchOut, ResponseOut, VerdictOut
from backend.projects.models import Project


class Listed(MatchFilter):
    """A page of the matches that meet the filter."""

    cursor: str | None = Field(None, max_length=64)
    limit: int = Field(20, ge=1, le=paging.MOST)


def page(session: Session, evaluation: Evaluation, wanted: Listed) -> tuple[list[MatchOut], str | None]:
    """Matches prompt by prompt, and the cursor of the next page."""
    query = select(Match).where(*within(evaluation.id, wanted))
    shown, following = paging.page(session, query, Match.id, wanted.cursor, wanted.limit, oldest_first=True)
    verdicts: dict[uuid.UUID, list[Verdict]] = defaultdict(list)
    found = select(Verdict).where(Verdict.match_id.in_([match.id for match in shown])).order_by(Verdict.id)
    for verdict in session.scalars(found):
        verdicts[verdict.match_id].append(verdict)
    return [_out(match, verdicts[match.id]) for match in shown], following


def find(session: Session, project: Project, match_id: uuid.UUID) -> Match:
    """The match of one of the project's evaluations.  Raises NotFound, for the arena's too: they are their asker's."""
    match = session.get(Match, match_id)
    if match is None or match.project_id != project.id or match.evaluation_id is None:
        raise NotFound.of("match")
    return match


def detail(session: Session, match: Match, wanted: MatchFilter) -> MatchDetailOut:
    """The match with all that was said of it, and which matches come before and after it among those wanted."""
    said = select(Verdict, User.name).outerjoin(User, User.id == Verdict.annotator_id)
    rows = session.execute(said.where(Verdict.match_id == match.id).order_by(Verdict.id)).all()
    assert match.evaluation_id is not None  # noqa: S101  (an evaluation's)
    beside = select(Match.id).where(*within(match.evaluation_id, wanted)).limit(1)
    return MatchDetailOut(
        **_out(match, [verdict for verdict, _ in rows]).model_dump(),
        evaluation_id=match.evaluation_id,
        category=match.category,
        spoken=[
            SpokenOut(**VerdictOut.model_validate(verdict).model_dump(), by=name if verdict.annotator_id else None)
            for verdict, name in rows
        ],
        previous=session.scalar(beside.where(Match.id < match.id).order_by(Match.id.desc())),
        next=session.scalar(beside.where(Match.id > match.id).order_by(Match.id)),
        references=scoring.references(session, match),
    )


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
