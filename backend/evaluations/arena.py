"""The arena: a person's conversation with two to four checkpoints at once, a battle for each of its turns."""

import secrets
import uuid
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import func, or_, select, update
from sqlalchemy.orm import Session

from backend import paging
from backend.accounts.models import User
from backend.errors import Conflict, NotFound, TooMany
from backend.evaluations import arena_lots
from backend.evaluations.arena_schemas import BattleIn
from backend.evaluations.models import Battle
from backend.evaluations.prompts import of_messages
from backend.projects.models import Project
from backend.queue import ring
from backend.work import ACTIVE, State, beat, claim, end_silent, finish, now, ours, request_stop

MOST_WAITING = 4
MOST_AN_HOUR = 240
MOST_TURNS = 10
Message = dict[str, Any]


class TooManyWaiting(TooMany):
    title = "Too many battles at once"


class TooFast(TooMany):
    title = "Too many battles in an hour"


class NamesKnown(Conflict):
    title = "Names are known"


class NotReady(Conflict):
    title = "Not ready"


class AlreadyGoneOn(Conflict):
    title = "Already gone on"


class TooManyTurns(Conflict):
    title = "Too many turns"


def ask(session: Session, project: Project, user: User, body: BattleIn) -> Battle:
    """A queued battle, the first of a conversation; a worker is told after the commit.

    The person's conversations that have a vote are over with it: their names are known, and the tally counts them.
    Raises UnknownCheckpoint, WeightsGone, TooFewCheckpoints, TooManyWaiting, TooFast.
    """
    _take_turn(session, user)
    _end_voted(session, project, user)
    found = arena_lots.contestants(session, project, user, body.checkpoints, body.contestants)
    prompt = of_messages(body.messages())
    battle = Battle(
        project_id=project.id,
        contestants=[str(one.id) for one in found],
        message=list(prompt.messages),
        prompt_hash=prompt.hash,
        sampling=body.sampling.model_dump(),
        seed=secrets.randbelow(2**31),
        created_by=user.id,
    )
    return _begun(session, battle)


def go_on(session: Session, user: User, battle: Battle, text: str) -> Battle:
    """A queued battle, the next turn of the conversation after `battle`: every contestant reads its own answers.

    One that ended without answers is replaced.
    Raises NamesKnown, NotReady, TooManyTurns, AlreadyGoneOn, TooManyWaiting, TooFast.
    """
    _take_turn(session, user)
    require_blind(battle)
    if battle.state is not State.succeeded or battle.answers is None:
        raise NotReady("There are no answers to go on from.", remedy="Wait until all are there, or try again.")
    if battle.turn >= MOST_TURNS:
        raise TooManyTurns(f"A conversation has at most {MOST_TURNS} turns.", remedy="Begin a new one.")
    following = [one for one in conversation(session, battle) if one.turn > battle.turn]
    if any(one.state not in (State.failed, State.cancelled, State.lost) for one in following):
        raise AlreadyGoneOn("This conversation has gone on already.", remedy="Go on from its last turn.")
    for one in following:
        session.delete(one)
    session.flush()
    battle = Battle(
        project_id=battle.project_id,
        first_id=battle.first_id or battle.id,
        turn=battle.turn + 1,
        contestants=battle.contestants,
        message=[{"role": "user", "content": text}],
        prompt_hash=battle.prompt_hash,
        sampling=battle.sampling,
        seed=secrets.randbelow(2**31),
        total=sum(one.total + 1 for one in following),
        created_by=user.id,
    )
    return _begun(session, battle)


def retry(session: Session, user: User, battle: Battle) -> Battle:
    """The battle that ended without all answers, queued once more with the same contestants, still blind.

    Raises NamesKnown, NotReady, TooManyWaiting, TooFast.
    """
    _take_turn(session, user)
    require_blind(battle)
    if battle.state not in (State.failed, State.cancelled, State.lost):
        raise NotReady(f"This battle is {battle.state}.", remedy="Only one that failed or was stopped is tried again.")
    battle.state, battle.stop_requested, battle.answers = State.queued, False, None
    battle.reason = battle.remedy = battle.finished_at = None
    battle.total += 1
    return _begun(session, battle)


def _begun(session: Session, battle: Battle) -> Battle:
    session.add(battle)
    session.flush()
    ring(session, "arena")
    return battle


def _take_turn(session: Session, user: User) -> None:
    """Two clicks count one by one; what is too much at once, or in an hour, is refused.

    `total` says how often a battle has been begun again.
    """
    _hold(session, user)
    waiting = Battle.created_by == user.id, Battle.state.in_([State.queued, *ACTIVE])
    if (session.scalar(select(func.count()).where(*waiting)) or 0) >= MOST_WAITING:
        raise TooManyWaiting(
            f"{MOST_WAITING} of your battles are still being answered.", remedy="Wait for one to end, or stop it."
        )
    lately = Battle.created_by == user.id, Battle.created_at > now() - timedelta(hours=1)
    if (session.scalar(select(func.sum(Battle.total + 1)).where(*lately)) or 0) >= MOST_AN_HOUR:
        raise TooFast(f"You have begun {MOST_AN_HOUR} battles in the last hour.", remedy="Go on in a while.")


def _hold(session: Session, user: User) -> None:
    """A person's deeds in the arena take turns; held before any battle, so that none waits for another."""
    session.execute(select(User.id).where(User.id == user.id).with_for_update(key_share=True))


def _end_voted(session: Session, project: Project, user: User) -> None:
    own = Battle.created_by == user.id, Battle.project_id == project.id, Battle.revealed_at.is_(None)
    first = func.coalesce(Battle.first_id, Battle.id)
    voted = select(first).where(*own, Battle.value.is_not(None))
    ended = update(Battle).where(*own, first.in_(voted)).values(revealed_at=now())
    session.execute(ended.execution_options(synchronize_session="fetch"))


def require_blind(battle: Battle) -> None:
    """Raises NamesKnown for a conversation whose names have been told."""
    if battle.revealed_at is not None:
        raise NamesKnown("The names of this conversation are known now.", remedy="Begin a new one.")


def find(session: Session, project: Project, user: User, battle_id: uuid.UUID, *, lock: bool = False) -> Battle:
    """The person's own battle.  Raises NotFound."""
    if lock:
        _hold(session, user)
    battle = session.get(Battle, battle_id, with_for_update=lock or None)
    if battle is None or battle.project_id != project.id or battle.created_by != user.id:
        raise NotFound.of("battle")
    return battle


def page(
    session: Session, project: Project, user: User, cursor: str | None, limit: int
) -> tuple[Sequence[Battle], str | None]:
    """The person's own battles, newest first, and the cursor of the next page."""
    own = Battle.created_by == user.id, Battle.project_id == project.id
    return paging.page(session, select(Battle).where(*own), Battle.id, cursor, limit)


def conversation(session: Session, *battles: Battle) -> Sequence[Battle]:
    """All turns of the conversations that the battles are of, by turn."""
    firsts = {battle.first_id or battle.id for battle in battles}
    of = or_(Battle.id.in_(firsts), Battle.first_id.in_(firsts))
    return session.scalars(select(Battle).where(of).order_by(Battle.turn, Battle.id)).all()


def histories(turns: Sequence[Battle], battle: Battle) -> list[list[Message]]:
    """What each contestant is to answer in `battle`, among whose conversation's `turns` it is: all that was said to it
    and by it, the person's last message at the end."""
    said: list[list[Message]] = [[] for _ in battle.contestants]
    for turn in turns:
        if turn.turn > battle.turn:
            break
        for place, own in enumerate(said):
            own.extend(turn.message)
            if turn.turn < battle.turn:
                own.append({"role": "assistant", "content": content(turn, place)})
    return said


def content(battle: Battle, place: int) -> str:
    """The text of a contestant's answer, as far as it came."""
    return str(battle.answers[place].get("content", "")) if battle.answers else ""


def cancel(battle: Battle) -> Battle:
    """Ask the worker to stop.  Raises AlreadyEnded."""
    request_stop(battle)
    return battle


# ---- what a worker does --------------------------------------------------------------------------------------------


def take(session: Session) -> Battle | None:
    """The next queued battle, now this process's."""
    return claim(session, Battle)


def alive(session: Session, battle_id: uuid.UUID) -> bool:
    """Record that the worker lives; whether it should go on."""
    battle = beat(session, Battle, battle_id)
    return ours(battle) and not battle.stop_requested


def close(session: Session, battle_id: uuid.UUID, answers: Sequence[dict[str, Any]]) -> None:
    """Keep the answers and end the battle: cancelled when that was asked, else succeeded.

    Nothing changes where the battle was swept while its worker was silent: it has ended, or is another's by now.
    """
    battle = session.get_one(Battle, battle_id, with_for_update=True)
    if not ours(battle):
        return
    battle.answers = list(answers)
    if battle.stop_requested:
        finish(battle, State.cancelled, "Stopped.")
    else:
        finish(battle, State.succeeded)


def put_back(session: Session, battle_id: uuid.UUID) -> None:
    """Queue the battle again, if it still is this worker's, which was told to stop."""
    battle = session.get_one(Battle, battle_id, with_for_update=True)
    if ours(battle):
        battle.state = State.queued


def fail(session: Session, battle_id: uuid.UUID, reason: str, remedy: str, *, names: bool) -> None:
    """End the battle as failed; a cause for people, and what to do. One that names a contestant ends the blindness."""
    battle = session.get_one(Battle, battle_id, with_for_update=True)
    if not ours(battle):
        return
    finish(battle, State.failed, reason, remedy)
    if names:
        reveal(session, battle)


def reveal(session: Session, battle: Battle) -> None:
    """Afterwards nobody votes in the conversation any more, nor does it go on: its names are known."""
    for one in conversation(session, battle):
        one.revealed_at = one.revealed_at or now()


def sweep(session: Session) -> int:
    """End battles whose worker died, and tell how many those were."""
    return len(end_silent(session, Battle, "The worker stopped before all answers were there.", "Try again."))
