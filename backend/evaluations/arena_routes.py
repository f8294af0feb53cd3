"""Routes of the arena. No answer names a checkpoint before its match has the caller's verdict."""

import uuid
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query

from backend.accounts.models import Role
from backend.deps import CurrentUser, OnceDep, PlaceDep, ProjectDep, SessionDep, need
from backend.evaluations import arena
from backend.evaluations.arena_schemas import ArenaIn, ArenaOut, TallyOut, TokensOut
from backend.paging import Cursor, Limit, Page

router = APIRouter(prefix="/arena")


@router.post("/matches", status_code=202)
def ask(body: ArenaIn, user: CurrentUser, project: ProjectDep, session: SessionDep, once: OnceDep) -> ArenaOut:
    """Have two checkpoints answer a prompt."""
    return once(body, ArenaOut, lambda: arena.out(session, user, arena.ask(session, project, user, body)))


@router.get("/matches")
def list_matches(
    user: CurrentUser,
    project: ProjectDep,
    session: SessionDep,
    cursor: Cursor = None,
    limit: Limit = 20,
) -> Page[ArenaOut]:
    """One's own matches, newest first."""
    rows, following = arena.page(session, project, user, cursor, limit)
    return Page(items=arena.out_all(session, user, rows), next_cursor=following)


@router.get("/matches/{match_id}")
def get_match(match_id: uuid.UUID, user: CurrentUser, project: ProjectDep, session: SessionDep) -> ArenaOut:
    """One's own match, blind until it is judged."""
    return arena.out(session, user, arena.find(session, project, user, match_id))


@router.get("/matches/{match_id}/tokens")
def read_tokens(
    match_id: uuid.UUID,
    user: CurrentUser,
    project: ProjectDep,
    session: SessionDep,
    after: Annotated[str, Query(pattern=r"^\d{1,20}-\d{1,20}$")] = "0-0",
) -> TokensOut:
    """The text that came after the cursor; once `done`, both whole answers."""
    return arena.read_tokens(user, arena.find(session, project, user, match_id), after)


@router.post("/matches/{match_id}/cancel")
def cancel(match_id: uuid.UUID, user: CurrentUser, project: ProjectDep, session: SessionDep) -> ArenaOut:
    """Stop the answers."""
    return arena.out(session, user, arena.cancel(arena.find(session, project, user, match_id, lock=True)))


@router.get("/tally")
def tally(
    user: CurrentUser, place: PlaceDep, session: SessionDep, mine: bool = True, since: datetime | None = None
) -> TallyOut:
    """Votes by pair with win rates: one's own, or (researchers only) everybody's."""
    if not mine:
        need(place, Role.researcher)
    return arena.tally(session, place.project, user, mine=mine, since=since)
