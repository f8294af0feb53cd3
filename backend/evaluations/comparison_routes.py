"""Routes of the pages that compare answers: the grid, one match with its neighbours, log-ratios by token."""

import uuid
from typing import Annotated

from fastapi import APIRouter, Query

from backend.audit import service as audit
from backend.deps import ProjectDep, Researcher, SessionDep
from backend.evaluations import divergences, frontier, grid, matches, service, token_scores
from backend.evaluations.comparison_schemas import GridOut, GridRowOut, MatchDetailOut, TokenScoresIn, TokenScoresOut
from backend.evaluations.divergence_schemas import DivergencesIn, DivergencesOut
from backend.evaluations.frontier_schemas import FrontierAsked, FrontierOut
from backend.evaluations.schemas import MatchFilter
from backend.paging import Page
from backend.work import request_stop

router = APIRouter()


@router.get("/evaluations/{evaluation_id}/grid")
def get_grid(
    evaluation_id: uuid.UUID,
    _: Researcher,
    project: ProjectDep,
    session: SessionDep,
    wanted: Annotated[MatchFilter, Query()],
) -> GridOut:
    """How many matches meet the filter, and on which prompts."""
    return grid.outline(session, service.find(session, project, evaluation_id), wanted)


@router.get("/evaluations/{evaluation_id}/grid/rows")
def list_grid_rows(
    evaluation_id: uuid.UUID,
    _: Researcher,
    project: ProjectDep,
    session: SessionDep,
    wanted: Annotated[grid.GridRows, Query()],
) -> Page[GridRowOut]:
    """Prompts on which some match meets the filter, each with every contestant's answer."""
    rows, following = grid.rows(session, service.find(session, project, evaluation_id), wanted)
    return Page(items=rows, next_cursor=following)


@router.get("/matches/{evaluation_match_id}")
def get_match(
    evaluation_match_id: uuid.UUID,
    _: Researcher,
    project: ProjectDep,
    session: SessionDep,
    wanted: Annotated[MatchFilter, Query()],
) -> MatchDetailOut:
    """One match of an evaluation, and those before and after it among the ones that meet the filter."""
    return matches.detail(session, matches.find(session, project, evaluation_match_id), wanted)


@router.post("/matches/{evaluation_match_id}/tokens", status_code=202)
def ask_tokens(
    evaluation_match_id: uuid.UUID, body: TokenScoresIn, user: Researcher, project: ProjectDep, session: SessionDep
) -> TokenScoresOut:
    """What two checkpoints think of each token of an answer; asked again, what is there is given."""
    match = matches.find(session, project, evaluation_match_id)
    return token_scores.out(token_scores.ask(session, project, user, match, body))


@router.get("/matches/{evaluation_match_id}/tokens")
def list_tokens(
    evaluation_match_id: uuid.UUID, _: Researcher, project: ProjectDep, session: SessionDep
) -> Page[TokenScoresOut]:
    """What was asked about the tokens of the match's answers, and how far it is."""
    match = matches.find(session, project, evaluation_match_id)
    return Page(items=[token_scores.out(row) for row in token_scores.of_match(session, match)])


@router.post("/token-scores/{token_scores_id}/cancel")
def cancel_tokens(
    token_scores_id: uuid.UUID, user: Researcher, project: ProjectDep, session: SessionDep
) -> TokenScoresOut:
    """Ask for the end."""
    row = token_scores.find(session, project, token_scores_id)
    request_stop(row)
    audit.record(session, user, project.id, "cancel", "token scores", row.id, {"match_id": str(row.match_id)})
    return token_scores.out(row)


Level = Annotated[float, Query(ge=0.5, le=0.999)]


@router.post("/evaluations/{evaluation_id}/divergences", status_code=202)
def ask_divergences(
    evaluation_id: uuid.UUID, body: DivergencesIn, user: Researcher, project: ProjectDep, session: SessionDep
) -> Page[DivergencesOut]:
    """Measure KL of every contestant to a reference, on its own answers; what is known is not read again."""
    evaluation = service.find(session, project, evaluation_id)
    reference = divergences.ask(session, project, user, evaluation, body)
    audit.record(session, user, project.id, "measure", "evaluation", evaluation.id, {"reference": str(reference)})
    return Page(items=divergences.read(session, evaluation, 0.95))


@router.get("/evaluations/{evaluation_id}/divergences")
def list_divergences(
    evaluation_id: uuid.UUID, _: Researcher, project: ProjectDep, session: SessionDep, level: Level = 0.95
) -> Page[DivergencesOut]:
    """How far contestants have moved from each reference that was asked for."""
    return Page(items=divergences.read(session, service.find(session, project, evaluation_id), level))


@router.post("/evaluations/{evaluation_id}/divergences/cancel")
def cancel_divergences(
    evaluation_id: uuid.UUID, _: Researcher, project: ProjectDep, session: SessionDep
) -> Page[DivergencesOut]:
    """Ask for the end of what is still to be read."""
    evaluation = service.find(session, project, evaluation_id)
    divergences.cancel(session, evaluation)
    session.flush()
    return Page(items=divergences.read(session, evaluation, 0.95))


@router.get("/evaluations/{evaluation_id}/frontier")
def read_frontier(
    evaluation_id: uuid.UUID,
    _: Researcher,
    project: ProjectDep,
    session: SessionDep,
    wanted: Annotated[FrontierAsked, Query()],
) -> FrontierOut:
    """Reward against KL: checkpoints as points, the front, and every two runs at one KL."""
    return frontier.read(session, project, service.find(session, project, evaluation_id), wanted)
