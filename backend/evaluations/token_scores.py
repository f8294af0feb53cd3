"""What two checkpoints think of each token of an answer: asked for, read by a worker, kept with the match."""

import uuid
from collections.abc import Sequence
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from backend.accounts.models import User
from backend.checkpoints import service as checkpoints
from backend.checkpoints.models import Checkpoint
from backend.errors import Conflict, Invalid, NotFound
from backend.evaluations import contestants
from backend.evaluations.comparison_schemas import ReferenceOut, Side, TokenScoreOut, TokenScoresIn, TokenScoresOut
from backend.evaluations.models import Match, TokenScores
from backend.evaluations.schemas import CheckpointBrief
from backend.projects.models import Project
from backend.queue import ring
from backend.runs.models import Run
from backend.work import State, retry_silent

MOST_ATTEMPTS = 2
ENDED_WITHOUT = (State.failed, State.cancelled, State.lost)
CHOOSE = "Choose another reference from the list."


class NoAnswer(Conflict):
    title = "No answer"


class NoLogprobs(Invalid):
    title = "No log-probabilities"


def ask(session: Session, project: Project, user: User, match: Match, body: TokenScoresIn) -> TokenScores:
    """The scores of a side's answer against a reference, queued unless they are there or under way.

    Raises NoAnswer, NotFound, NoLogprobs, and what `checkpoints.require_ready` does.
    """
    if "content" not in (answer(match, body.side) or {}):
        raise NoAnswer("There is no answer on this side whose tokens could be read.", remedy="Choose another match.")
    policy = session.get_one(Checkpoint, checkpoint_id(match, body.side))
    reference = checkpoints.present(session, project, body.reference_id, "reference_id")
    if policy.id == reference.id:
        raise NoLogprobs("A checkpoint says the same as itself.", field="reference_id", remedy=CHOOSE)
    for one, field in ((policy, "side"), (reference, "reference_id")):
        if one.endpoint is not None:
            reason = f"“{one.name}” is an endpoint, which does not tell what it thinks of each token of a text."
            raise NoLogprobs(reason, field=field, remedy="Register its weights as a checkpoint.")
        checkpoints.require_ready(one, field)
    known = _known(session, match.id, body)
    if known is None:
        known = TokenScores(
            project_id=project.id,
            match_id=match.id,
            side=body.side,
            reference_id=reference.id,
            total=2,
            created_by=user.id,
        )
        session.add(known)
    elif known.state in ENDED_WITHOUT:
        known.state, known.stop_requested, known.attempts, known.done = State.queued, False, 0, 0
        known.reason = known.remedy = known.finished_at = None
    else:
        return known
    session.flush()
    ring(session, "token_scores")
    return known


def _known(session: Session, match_id: uuid.UUID, body: TokenScoresIn) -> TokenScores | None:
    """The row of this match, side and reference; whoever asks at the same time waits for the match."""
    session.get_one(Match, match_id, with_for_update=True)
    where = (TokenScores.match_id == match_id, TokenScores.side == body.side)
    return session.scalars(select(TokenScores).where(*where, TokenScores.reference_id == body.reference_id)).first()


def answer(match: Match, side: Side) -> dict[str, Any] | None:
    """The response of a side."""
    return match.response_a if side == "a" else match.response_b


def checkpoint_id(match: Match, side: Side) -> uuid.UUID:
    """Who answered on a side."""
    return match.checkpoint_a if side == "a" else match.checkpoint_b


def of_match(session: Session, match: Match) -> Sequence[TokenScores]:
    """All that was asked of the match, oldest first."""
    return session.scalars(select(TokenScores).where(TokenScores.match_id == match.id).order_by(TokenScores.id)).all()


def find(session: Session, project: Project, row_id: uuid.UUID) -> TokenScores:
    """The row, locked, if it is this project's.  Raises NotFound."""
    found = session.get(TokenScores, row_id, with_for_update=True)
    if found is None or found.project_id != project.id:
        raise NotFound.of("token scores")
    return found


def out(row: TokenScores) -> TokenScoresOut:
    """The row with a token beside its two log-probabilities."""
    columns = {name: getattr(row, name) for name in TokenScoresOut.model_fields if name != "tokens"}
    found = row.result
    each = zip(found["tokens"], found["policy"], found["reference"], strict=True) if found else ()
    tokens = [TokenScoreOut(text=text, policy=policy, reference=reference) for text, policy, reference in each]
    return TokenScoresOut(**columns, tokens=tokens if found else None)


def references(session: Session, match: Match) -> dict[Side, list[ReferenceOut]]:
    """What each answer can be read against: what its checkpoint was held to in training, then what it came from."""
    return {
        "a": _references(session, match.checkpoint_a, match.checkpoint_b),
        "b": _references(session, match.checkpoint_b, match.checkpoint_a),
    }


def _references(session: Session, policy_id: uuid.UUID, other: uuid.UUID) -> list[ReferenceOut]:
    policy = session.get(Checkpoint, policy_id)
    if policy is None or policy.endpoint is not None or not checkpoints.ready(policy):
        return []
    run = session.get(Run, policy.run_id) if policy.run_id else None
    roles: dict[uuid.UUID, str] = {}
    if run is not None:
        roles[run.reference_id or run.checkpoint_id] = "the reference of its run"
        roles.setdefault(run.checkpoint_id, "what its run began with")
    if policy.parent_id is not None:
        roles.setdefault(policy.parent_id, "what it was made from")
    roles.setdefault(other, "what it met here")
    found = contestants.named(session, roles)
    return [
        ReferenceOut(checkpoint=CheckpointBrief.model_validate(found[one]), role=role)
        for one, role in roles.items()
        if one in found and one != policy_id and found[one].endpoint is None and checkpoints.ready(found[one])
    ]


def sweep(session: Session) -> int:
    """Queue again what a dead worker left, once; afterwards it has failed.  Returns how many rows that were."""
    remedy = "The machine may lack memory for both checkpoints."
    return len(retry_silent(session, TokenScores, "token_scores", MOST_ATTEMPTS, remedy))
