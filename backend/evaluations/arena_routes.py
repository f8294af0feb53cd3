"""Routes of the arena. No answer names a checkpoint before its conversation has the caller's vote."""

import uuid
from typing import Annotated

from fastapi import APIRouter, Depends, Query

from backend.accounts.models import Role
from backend.deps import CurrentUser, OnceDep, PlaceDep, ProjectDep, Researcher, SessionDep, need
from backend.evaluations import arena, arena_lots, arena_shown, arena_tally, arena_votes
from backend.evaluations.arena_schemas import (
    BattleIn,
    BattleOut,
    GoOnIn,
    OfferedPromptOut,
    TallyOut,
    TallyQuery,
    TokensOut,
    VoteIn,
)
from backend.evaluations.models import Battle
from backend.paging import Cursor, Limit, Page

router = APIRouter(prefix="/arena")


def _own(battle_id: uuid.UUID, user: CurrentUser, project: ProjectDep, session: SessionDep) -> Battle:
    return arena.find(session, project, user, battle_id)


def _locked(battle_id: uuid.UUID, user: CurrentUser, project: ProjectDep, session: SessionDep) -> Battle:
    return arena.find(session, project, user, battle_id, lock=True)


Own = Annotated[Battle, Depends(_own)]
Locked = Annotated[Battle, Depends(_locked)]


@router.post("/battles", status_code=202)
def ask(body: BattleIn, user: CurrentUser, project: ProjectDep, session: SessionDep, once: OnceDep) -> BattleOut:
    """Have two to four checkpoints answer a prompt, blind."""
    return once(body, BattleOut, lambda: arena_shown.out(session, arena.ask(session, project, user, body)))


@router.get("/battles")
def list_battles(
    user: CurrentUser, project: ProjectDep, session: SessionDep, cursor: Cursor = None, limit: Limit = 20
) -> Page[BattleOut]:
    """One's own battles, newest first."""
    rows, following = arena.page(session, project, user, cursor, limit)
    return Page(items=arena_shown.out_all(session, rows), next_cursor=following)


@router.get("/battles/{battle_id}")
def get_battle(battle: Own, session: SessionDep) -> BattleOut:
    """One's own battle, blind until it is revealed."""
    return arena_shown.out(session, battle)


@router.get("/battles/{battle_id}/tokens")
def read_tokens(battle: Own, after: Annotated[str, Query(pattern=r"^\d{1,20}-\d{1,20}$")] = "0-0") -> TokensOut:
    """The text that came after the cursor; once `done`, the whole answers."""
    return arena_shown.read_tokens(battle, after)


@router.post("/battles/{battle_id}/turns", status_code=202)
def go_on(body: GoOnIn, battle: Locked, user: CurrentUser, session: SessionDep, once: OnceDep) -> BattleOut:
    """Say something more to all contestants; each has its own conversation in mind."""
    return once(body, BattleOut, lambda: arena_shown.out(session, arena.go_on(session, user, battle, body.text)))


@router.post("/battles/{battle_id}/retry", status_code=202)
def retry(battle: Locked, user: CurrentUser, session: SessionDep) -> BattleOut:
    """Have the same contestants answer once more, where they were stopped or could not."""
    return arena_shown.out(session, arena.retry(session, user, battle))


@router.post("/battles/{battle_id}/cancel")
def cancel(battle: Locked, session: SessionDep) -> BattleOut:
    """Stop the answers."""
    return arena_shown.out(session, arena.cancel(battle))


@router.post("/battles/{battle_id}/vote", status_code=201)
def vote(body: VoteIn, battle: Locked, user: CurrentUser, session: SessionDep) -> BattleOut:
    """Vote on the conversation so far, in the order shown. Sent again with the same `client_id`, it is stored once."""
    return arena_shown.out(session, arena_votes.vote(session, user, battle, body))


@router.post("/battles/{battle_id}/undo")
def undo(battle: Locked, session: SessionDep) -> BattleOut:
    """Take the vote back, as long as the names are not known."""
    return arena_shown.out(session, arena_votes.undo(session, battle))


@router.post("/battles/{battle_id}/reveal")
def reveal(battle: Locked, session: SessionDep) -> BattleOut:
    """Who was who, after a vote; it ends the conversation's votes and turns."""
    return arena_shown.out(session, arena_votes.reveal(session, battle))


@router.get("/prompt")
def offer_prompt(
    user: CurrentUser, _: Researcher, project: ProjectDep, session: SessionDep, dataset_id: uuid.UUID | None = None
) -> OfferedPromptOut:
    """A prompt of the test split, or of a prompt set, by lot, that one has not asked here."""
    return OfferedPromptOut(text=arena_lots.prompt(session, project, user, dataset_id))


@router.get("/tally")
def tally(user: CurrentUser, place: PlaceDep, session: SessionDep, wanted: Annotated[TallyQuery, Query()]) -> TallyOut:
    """Votes by pair with win rates, and a ranking: one's own, or (researchers only) everybody's."""
    if not wanted.mine:
        need(place, Role.researcher)
    return arena_tally.tally(session, place.project, user, wanted)
