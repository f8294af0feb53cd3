"""A person's verdict on a match: stored once, in match order, and only afterwards the names."""

import uuid
from collections.abc import Mapping
from typing import Any, NamedTuple

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from backend.accounts.models import User
from backend.checkpoints.models import Checkpoint
from backend.errors import Conflict, NotFound
from backend.evaluations import cards, contestants
from backend.evaluations.models import Match, MatchItem, Source, Verdict
from backend.evaluations.schemas import CheckpointBrief, JudgedOut, OwnVerdictOut, RevealOut, VerdictIn
from backend.labels import service as labels
from backend.labels.cards import turned
from backend.projects.models import Project
from backend.work import State

SKIPPED = "skipped"


class NotReady(Conflict):
    title = "Not ready"


class AlreadyJudged(Conflict):
    title = "Already judged"


class NamesKnown(Conflict):
    title = "Names are known"


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
    match = _judgeable(session, project, user, match_id)
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

    Raises NotFound, NamesKnown: in the arena the vote has shown the names.
    """
    verdict = session.get(Verdict, verdict_id, with_for_update=True)
    if verdict is None or verdict.annotator_id != user.id or verdict.project_id != project.id:
        raise NotFound.of("verdict")
    match = session.get_one(Match, verdict.match_id)
    if match.evaluation_id is None:
        raise NamesKnown("The names are known now, so the vote stands.", remedy="Ask the same prompt again.")
    exported = session.scalars(select(MatchItem.dataset_id).where(MatchItem.match_id == match.id))
    labels.retract_votes(session, [label_id(verdict, dataset_id) for dataset_id in exported])
    session.delete(verdict)
    session.flush()
    return match


def label_id(verdict: Verdict, dataset_id: uuid.UUID) -> uuid.UUID:
    """The client id of the label that a person's verdict becomes in a dataset."""
    return uuid.uuid5(verdict.id, str(dataset_id))


def _judgeable(session: Session, project: Project, user: User, match_id: uuid.UUID) -> Match:
    """The match, locked; an arena match is only its asker's."""
    match = session.get(Match, match_id, with_for_update=True)
    if match is None or match.project_id != project.id:
        raise NotFound.of("match")
    if match.evaluation_id is None and match.created_by != user.id:
        raise NotFound.of("match")
    answered = all("content" in (response or {}) for response in (match.response_a, match.response_b))
    if match.state is not State.succeeded or not answered:
        raise NotReady("This match has no two answers to compare.", remedy="Wait until both are there, or ask again.")
    return match


def judged(session: Session, verdict: Verdict) -> JudgedOut:
    """The verdict in the order shown; names for the arena, progress for an evaluation."""
    match = session.get_one(Match, verdict.match_id)
    if match.evaluation_id is None:
        return revealed(match, verdict, contestants.named(session, [match.checkpoint_a, match.checkpoint_b]))
    assert verdict.annotator_id is not None  # noqa: S101  (a person's)
    progress = cards.judging(session, match.evaluation_id, verdict.annotator_id)
    return JudgedOut(verdict=_own(verdict), reveal=None, progress=progress)


def revealed(match: Match, verdict: Verdict, known: Mapping[uuid.UUID, Checkpoint]) -> JudgedOut:
    """The verdict on an arena match in the order shown, with the names of both sides, which are among `known`."""
    sides = [CheckpointBrief.model_validate(known[id]) for id in (match.checkpoint_a, match.checkpoint_b)]
    left, right = reversed(sides) if verdict.swapped else sides
    return JudgedOut(verdict=_own(verdict), reveal=RevealOut(left=left, right=right), progress=None)


def _own(verdict: Verdict) -> OwnVerdictOut:
    return OwnVerdictOut(
        id=verdict.id,
        match_id=verdict.match_id,
        value=turned(verdict.value or {}, verdict.swapped),
        created_at=verdict.created_at,
    )
