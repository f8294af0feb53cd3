"""A person's verdict on an evaluation's match: stored once, in match order."""

import uuid
from typing import Any, NamedTuple

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from backend.accounts.models import User
from backend.errors import Conflict, NotFound
from backend.evaluations import cards
from backend.evaluations.models import Match, MatchItem, Source, Verdict
from backend.evaluations.schemas import JudgedOut, OwnVerdictOut, VerdictIn
from backend.labels import service as labels
from backend.labels.cards import turned
from backend.projects.models import Project
from backend.work import State

SKIPPED = "skipped"


class NotReady(Conflict):
    title = "Not ready"


class AlreadyJudged(Conflict):
    title = "Already judged"


class ClientIdReused(Conflict):
    title = "Verdict id reused"


class Outcome(NamedTuple):
    """What a vote says about `response_a`: its probability of winning, or why it says nothing."""

    probability: float | None
    reason: str | None


def outcome(value: dict[str, Any]) -> Outcome:
    """A vote, in match order, as an outcome; two bad answers are a tie."""
    if "skip" in value:
        return Outcome(None, SKIPPED)
    strength = value.get("strength", 0)
    return Outcome(0.5 if strength == 0 else float(strength > 0), None)


def judge(session: Session, project: Project, user: User, match_id: uuid.UUID, body: VerdictIn) -> Verdict:
    """The person's verdict, stored once however often it is sent.

    Raises NotFound for a match that is not the caller's to judge, NotReady, AlreadyJudged, ClientIdReused.
    """
    match = _judgeable(session, project, match_id)
    own = (Verdict.match_id == match.id, Verdict.annotator_id == user.id, Verdict.source == Source.person)
    swap = cards.swapped(match.id, user.id)
    value = turned(body.value.as_shown(), swap)
    known = session.scalars(select(Verdict).where(*own)).first()
    if known is not None:
        if known.client_id != body.client_id:
            raise AlreadyJudged("You have judged this match.", remedy="Go on with the next one.")
        if known.value != value:
            raise ClientIdReused("This id was used for another verdict.", field="client_id", remedy="Send a fresh id.")
        return known
    said = outcome(value)
    written = session.scalars(
        insert(Verdict)
        .values(
            project_id=match.project_id,
            match_id=match.id,
            source=Source.person,
            annotator_id=user.id,
            swapped=swap,
            probability=said.probability,
            reason=said.reason,
            value=value,
            text=body.rationale or None,
            seconds=body.seconds,
            guided=body.guided,
            client_id=body.client_id,
        )
        .on_conflict_do_nothing(index_elements=[Verdict.client_id])
        .returning(Verdict)
    ).first()
    if written is None:
        raise ClientIdReused("This id was used for another verdict.", field="client_id", remedy="Send a fresh id.")
    return written


def undo(session: Session, project: Project, user: User, verdict_id: uuid.UUID) -> Match:
    """Take back one's own verdict on an evaluation's match, and give the match to judge again. A label that an export
    made of it is taken back too.

    Raises NotFound, for the arena's too: a vote there is taken back whole.
    """
    verdict = session.get(Verdict, verdict_id, with_for_update=True)
    if verdict is None or verdict.annotator_id != user.id or verdict.project_id != project.id:
        raise NotFound.of("verdict")
    match = session.get_one(Match, verdict.match_id)
    if match.evaluation_id is None:
        raise NotFound.of("verdict")
    exported = session.scalars(select(MatchItem.dataset_id).where(MatchItem.match_id == match.id))
    labels.retract_votes(session, [label_id(verdict, dataset_id) for dataset_id in exported])
    session.delete(verdict)
    session.flush()
    return match


def label_id(verdict: Verdict, dataset_id: uuid.UUID) -> uuid.UUID:
    """The client id of the label that a person's verdict becomes in a dataset."""
    return uuid.uuid5(verdict.id, str(dataset_id))


def _judgeable(session: Session, project: Project, match_id: uuid.UUID) -> Match:
    """The match of an evaluation, locked."""
    match = session.get(Match, match_id, with_for_update=True)
    if match is None or match.project_id != project.id or match.evaluation_id is None:
        raise NotFound.of("match")
    answered = all("content" in (response or {}) for response in (match.response_a, match.response_b))
    if match.state is not State.succeeded or not answered:
        raise NotReady("This match has no two answers to compare.", remedy="Wait until both are there, or ask again.")
    return match


def judged(session: Session, verdict: Verdict) -> JudgedOut:
    """The verdict in the order shown, with the progress of its evaluation."""
    match = session.get_one(Match, verdict.match_id)
    assert match.evaluation_id is not None  # noqa: S101  (only such matches are judged)
    assert verdict.annotator_id is not None  # noqa: S101  (a person's)
    return JudgedOut(verdict=_own(verdict), progress=cards.judging(session, match.evaluation_id, verdict.annotator_id))


def _own(verdict: Verdict) -> OwnVerdictOut:
    return OwnVerdictOut(
        id=verdict.id,
        match_id=verdict.match_id,
        value=turned(verdict.value or {}, verdict.swapped),
        created_at=verdict.created_at,
    )
