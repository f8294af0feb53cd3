"""The arena: a person's prompt, two checkpoints answering it blind, live text, the vote, and the tally."""

import secrets
import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from backend import paging
from backend.accounts.models import User
from backend.checkpoints.models import Checkpoint
from backend.errors import NotFound, TooMany
from backend.evaluations import cards, contestants, tokens, votes
from backend.evaluations.arena_schemas import ArenaIn, ArenaOut, TallyOut, TokensOut
from backend.evaluations.models import Match, Source, Verdict
from backend.evaluations.prompts import of_messages
from backend.evaluations.said import Rule, Said, pairs, query
from backend.projects.models import Project
from backend.queue import ring
from backend.work import ACTIVE, ENDED, State, beat, claim, finish, request_stop, silent

MOST_WAITING = 4
IN_ARENA = Match.evaluation_id.is_(None)


class TooManyWaiting(TooMany):
    title = "Too many matches at once"


def ask(session: Session, project: Project, user: User, body: ArenaIn) -> Match:
    """A queued match; a worker is told after the commit.

    Raises UnknownCheckpoint, WeightsGone, TooFewCheckpoints, TooManyWaiting.
    """
    session.execute(select(User.id).where(User.id == user.id).with_for_update())  # two clicks count one by one
    going = select(func.count()).where(IN_ARENA, Match.created_by == user.id, Match.state.in_([State.queued, *ACTIVE]))
    if (session.scalar(going) or 0) >= MOST_WAITING:
        raise TooManyWaiting(
            f"{MOST_WAITING} of your matches are still being answered.", remedy="Wait for one to end, or cancel it."
        )
    if body.checkpoints is None:
        pair = contestants.random_pair(session, project)
    else:
        pair = contestants.find_ready(session, project.id, body.checkpoints, "checkpoints")
    prompt = of_messages(body.messages())
    match = Match(
        project_id=project.id,
        prompt=list(prompt.messages),
        prompt_hash=prompt.hash,
        checkpoint_a=pair[0].id,
        checkpoint_b=pair[1].id,
        sampling=body.sampling.model_dump(),
        seed=secrets.randbelow(2**31),
        created_by=user.id,
    )
    session.add(match)
    session.flush()
    ring(session, "arena")
    return match


def find(session: Session, project: Project, user: User, match_id: uuid.UUID, *, lock: bool = False) -> Match:
    """The person's own arena match.  Raises NotFound."""
    match = session.get(Match, match_id, with_for_update=lock or None)
    if match is None or match.project_id != project.id or match.evaluation_id is not None:
        raise NotFound.of("match")
    if match.created_by != user.id:
        raise NotFound.of("match")
    return match


def page(
    session: Session, project: Project, user: User, cursor: str | None, limit: int
) -> tuple[Sequence[Match], str | None]:
    """The person's own arena matches, newest first, and the cursor of the next page."""
    own = IN_ARENA, Match.created_by == user.id, Match.project_id == project.id
    return paging.page(session, select(Match).where(*own), Match.id, cursor, limit)


def out(session: Session, user: User, match: Match) -> ArenaOut:
    """The match as its asker may see it: names only beside their own verdict."""
    return out_all(session, user, [match])[0]


def out_all(session: Session, user: User, matches: Sequence[Match]) -> list[ArenaOut]:
    """The same of several, in two queries."""
    own = (Verdict.source == Source.person, Verdict.annotator_id == user.id)
    said = session.scalars(select(Verdict).where(Verdict.match_id.in_([match.id for match in matches]), *own))
    verdicts = {verdict.match_id: verdict for verdict in said}
    judged = [match for match in matches if match.id in verdicts]
    ids = {one for match in judged for one in (match.checkpoint_a, match.checkpoint_b)}
    known = contestants.named(session, ids) if ids else {}
    return [_out(user, match, verdicts.get(match.id), known) for match in matches]


def _out(user: User, match: Match, verdict: Verdict | None, known: Mapping[uuid.UUID, Checkpoint]) -> ArenaOut:
    left, right = cards.show_sides(match, user.id)
    return ArenaOut(
        id=match.id,
        created_at=match.created_at,
        state=match.state,
        reason=match.reason,
        remedy=match.remedy,
        prompt=cards.show_prompt(match.prompt),
        left=left,
        right=right,
        judged=votes.revealed(match, verdict, known) if verdict else None,
    )


def read_tokens(user: User, match: Match, after: str) -> TokensOut:
    """New text of both sides in the order this person sees; the whole answers once the match has ended."""
    turned = cards.swapped(match.id, user.id)
    if match.state in ENDED:
        pieces = [tokens.Piece("a", _content(match.response_a)), tokens.Piece("b", _content(match.response_b))]
        cursor = after
    else:
        pieces, cursor = tokens.read(match.id, after)
    sides = {side: "".join(piece.text for piece in pieces if piece.side == side) for side in ("a", "b")}
    left, right = (sides["b"], sides["a"]) if turned else (sides["a"], sides["b"])
    return TokensOut(left=left, right=right, cursor=cursor, done=match.state in ENDED, state=match.state)


def _content(response: dict[str, Any] | None) -> str:
    return str((response or {}).get("content", ""))


def cancel(match: Match) -> Match:
    """Ask the worker to stop.  Raises AlreadyEnded."""
    request_stop(match)
    return match


def tally(session: Session, project: Project, user: User, *, mine: bool, since: datetime | None) -> TallyOut:
    """Votes of the arena by pair: the person's own, or everybody's."""
    votes_cast = query().where(IN_ARENA, Match.project_id == project.id, Verdict.source == Source.person)
    if mine:
        votes_cast = votes_cast.where(Verdict.annotator_id == user.id)
    if since is not None:
        votes_cast = votes_cast.where(Verdict.created_at >= since)
    said = [Said(*row) for row in session.execute(votes_cast)]
    met = sorted({one for verdict in said for one in (verdict.a, verdict.b)})
    known = contestants.named(session, met)
    rows = [row for row in pairs(said, met, Rule()) if row.verdicts]
    return TallyOut(votes=len(said), names={one: known[one].name for one in met}, pairs=rows)


# ---- what a worker does --------------------------------------------------------------------------------------------


def take(session: Session) -> Match | None:
    """The next queued arena match, now this process's."""
    return claim(session, Match, IN_ARENA)


def alive(session: Session, match_id: uuid.UUID) -> bool:
    """Record that the worker lives; whether it should go on."""
    match = beat(session, Match, match_id)
    return match.state in ACTIVE and not match.stop_requested


def close(session: Session, match_id: uuid.UUID, answers: tuple[dict[str, Any], dict[str, Any]]) -> None:
    """Keep both answers and end the match: cancelled when that was asked, else succeeded."""
    match = session.get_one(Match, match_id, with_for_update=True)
    match.response_a, match.response_b = answers
    if match.stop_requested:
        finish(match, State.cancelled, "Cancelled.")
    else:
        finish(match, State.succeeded)


def put_back(session: Session, match_id: uuid.UUID) -> None:
    """Queue the match again, unless it has ended: its worker was told to stop."""
    match = session.get_one(Match, match_id, with_for_update=True)
    if match.state not in ENDED:
        match.state = State.queued


def fail(session: Session, match_id: uuid.UUID, reason: str, remedy: str) -> None:
    """End the match as failed; a cause for people, and what to do."""
    finish(session.get_one(Match, match_id, with_for_update=True), State.failed, reason, remedy)


def sweep(session: Session) -> int:
    """End arena matches whose worker died, and tell how many those were."""
    rows = silent(session, Match, IN_ARENA)
    for match in rows:
        state = State.cancelled if match.stop_requested else State.failed
        finish(match, state, "The worker stopped before both answers were there.", "Ask again.")
    return len(rows)
