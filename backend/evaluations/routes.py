"""Routes of evaluations: reports, matches, people's verdicts, export. The arena's and the comparison's are beside."""

import uuid
from typing import Annotated, Literal

from fastapi import APIRouter, Query
from fastapi.responses import HTMLResponse

from backend.audit import service as audit
from backend.deps import CurrentUser, OnceDep, ProjectDep, Researcher, SessionDep
from backend.evaluations import (
    arena_routes,
    cards,
    comparison_routes,
    contamination_routes,
    frontier,
    harness,
    import_routes,
    judge_card,
    judging,
    matches,
    meters,
    report,
    service,
    shareable,
    telling,
    votes,
)
from backend.evaluations import export as exporting
from backend.evaluations.frontier_schemas import FrontierAsked
from backend.evaluations.judge_card_schemas import JudgeCardOut, Scope
from backend.evaluations.markup import POLICY
from backend.evaluations.meter_schemas import MetersOut
from backend.evaluations.report_schemas import ReportOut
from backend.evaluations.said import Rule
from backend.evaluations.schemas import (
    EvaluationIn,
    EvaluationOut,
    HarnessOut,
    JudgedOut,
    JudgeOut,
    MatchCardsIn,
    MatchCardsOut,
    MatchExportIn,
    MatchExportOut,
    MatchOut,
    ResumeEvaluationIn,
    SizeOut,
    VerdictIn,
    VerdictUndoneOut,
)
from backend.paging import Cursor, Limit, Page

router = APIRouter(tags=["evaluations"])
router.include_router(arena_routes.router)
router.include_router(import_routes.router)
router.include_router(comparison_routes.router)
router.include_router(contamination_routes.router)


@router.get("/judges")
def list_judges(_: Researcher) -> Page[JudgeOut]:
    """The ways to decide a match; `schema` describes each one's fields."""
    return Page(items=judging.catalogue())


@router.get("/harness")
def get_harness(_: Researcher) -> HarnessOut:
    """Whether lm-evaluation-harness can measure checkpoints here, and how to get it."""
    return harness.told()


@router.post("/evaluations/preflight")
def preflight(body: EvaluationIn, _: Researcher, project: ProjectDep, session: SessionDep) -> SizeOut:
    """What an evaluation would take and what is doubtful about it; nothing is started."""
    return service.size(session, project, body)


@router.post("/evaluations", status_code=202)
def launch(
    body: EvaluationIn, user: Researcher, project: ProjectDep, session: SessionDep, once: OnceDep
) -> EvaluationOut:
    """Start an evaluation."""

    def create() -> EvaluationOut:
        row = service.launch(session, project, user, body)
        audit.record(session, user, project.id, "launch", "evaluation", row.id, {"name": row.name})
        return service.out(session, [row])[0]

    return once(body, EvaluationOut, create)


@router.get("/evaluations")
def list_evaluations(
    _: Researcher,
    project: ProjectDep,
    session: SessionDep,
    cursor: Cursor = None,
    limit: Limit = 50,
    checkpoint_id: uuid.UUID | None = None,
) -> Page[EvaluationOut]:
    """Evaluations, newest first; of one checkpoint when it is named."""
    rows, following = service.page(session, project, cursor, limit, checkpoint_id)
    return Page(items=service.out(session, rows), next_cursor=following)


@router.get("/evaluations/{evaluation_id}")
def get_evaluation(evaluation_id: uuid.UUID, _: Researcher, project: ProjectDep, session: SessionDep) -> EvaluationOut:
    """One evaluation and how far it is."""
    return service.out(session, [service.find(session, project, evaluation_id)])[0]


@router.post("/evaluations/{evaluation_id}/cancel")
def cancel(evaluation_id: uuid.UUID, user: Researcher, project: ProjectDep, session: SessionDep) -> EvaluationOut:
    """Ask for the end; answers and verdicts that are there stay."""
    row = service.cancel(service.find(session, project, evaluation_id, lock=True))
    audit.record(session, user, project.id, "cancel", "evaluation", row.id, {"name": row.name})
    return service.out(session, [row])[0]


@router.post("/evaluations/{evaluation_id}/resume", status_code=202)
def resume(
    evaluation_id: uuid.UUID,
    user: Researcher,
    project: ProjectDep,
    session: SessionDep,
    body: ResumeEvaluationIn | None = None,
) -> EvaluationOut:
    """Let an evaluation that failed or was cancelled go on; nothing is asked twice."""
    found = service.find(session, project, evaluation_id, lock=True)
    row = service.resume(session, found, body.limits if body else None)
    audit.record(session, user, project.id, "resume", "evaluation", row.id, {"name": row.name})
    return service.out(session, [row])[0]


@router.get("/evaluations/{evaluation_id}/report")
def read_report(
    evaluation_id: uuid.UUID,
    _: Researcher,
    project: ProjectDep,
    session: SessionDep,
    ties: Literal["half", "drop", "shown"] = "half",
    level: Annotated[float, Query(ge=0.5, le=0.999)] = 0.95,
) -> ReportOut:
    """Win rates with intervals by judge and pair, contestants, agreement, doubts."""
    evaluation = service.find(session, project, evaluation_id)
    return report.read(session, evaluation, Rule(ties, level, evaluation.seed))


@router.get("/evaluations/{evaluation_id}/report.html", response_class=HTMLResponse)
def download_report(
    evaluation_id: uuid.UUID,
    _: Researcher,
    project: ProjectDep,
    session: SessionDep,
    ties: Literal["half", "drop", "shown"] = "half",
    level: Annotated[float, Query(ge=0.5, le=0.999)] = 0.95,
) -> HTMLResponse:
    """The report as one file to hand on: pictures and numbers, without prompts and answers, and nothing that runs."""
    evaluation = service.find(session, project, evaluation_id)
    told = report.read(session, evaluation, Rule(ties, level, evaluation.seed))
    moved = frontier.read(session, project, evaluation, FrontierAsked(level=level))
    page = shareable.write(told, meters.read(session, evaluation, level), moved)
    named = {"content-disposition": f'attachment; filename="evaluation-{evaluation.id}.html"'}
    return HTMLResponse(page, headers=named | {"content-security-policy": f"{POLICY}; sandbox"})


@router.get("/evaluations/{evaluation_id}/meters")
def read_meters(
    evaluation_id: uuid.UUID,
    _: Researcher,
    project: ProjectDep,
    session: SessionDep,
    level: Annotated[float, Query(ge=0.5, le=0.999)] = 0.95,
) -> MetersOut:
    """What the answers are like beside who won: length, variety, repetition, each also against the baseline."""
    return meters.read(session, service.find(session, project, evaluation_id), level)


@router.get("/evaluations/{evaluation_id}/judge")
def read_judge(
    evaluation_id: uuid.UUID,
    _: Researcher,
    project: ProjectDep,
    session: SessionDep,
    judge: Annotated[
        str | None, Query(max_length=200, description="A judge's name; the evaluation's own if null.")
    ] = None,
    scope: Annotated[
        Scope, Query(description="Or all evaluations of the project with the same judge settings.")
    ] = "evaluation",
    level: Annotated[float, Query(ge=0.5, le=0.999)] = 0.95,
) -> JudgeCardOut:
    """The report card of a judge: consistency, position bias, agreement with people, calibration, what it likes."""
    return judge_card.read(session, service.find(session, project, evaluation_id), judge, scope, level)


@router.get("/evaluations/{evaluation_id}/matches")
def list_matches(
    evaluation_id: uuid.UUID,
    _: Researcher,
    project: ProjectDep,
    session: SessionDep,
    wanted: Annotated[matches.Listed, Query()],
) -> Page[MatchOut]:
    """Matches prompt by prompt, with both answers and every verdict."""
    evaluation = service.find(session, project, evaluation_id)
    rows, following = matches.page(session, evaluation, wanted)
    return Page(items=rows, next_cursor=following)


@router.post("/evaluations/{evaluation_id}/cards")
def next_cards(
    evaluation_id: uuid.UUID, body: MatchCardsIn, user: CurrentUser, project: ProjectDep, session: SessionDep
) -> MatchCardsOut:
    """The next matches to judge, blind, in the person's own side order."""
    evaluation = service.find(session, project, evaluation_id)
    first = telling.next_matches(session, evaluation, user.id, body.n, body.holding) if body.order == "telling" else ()
    return MatchCardsOut(
        evaluation_id=evaluation.id,
        name=evaluation.name,
        cards=cards.next_cards(session, evaluation, user.id, body.n, body.holding, first),
        progress=cards.judging(session, evaluation.id, user.id),
    )


@router.post("/matches/{match_id}/verdicts", status_code=201)
def judge(
    match_id: uuid.UUID, body: VerdictIn, user: CurrentUser, project: ProjectDep, session: SessionDep
) -> JudgedOut:
    """Vote on a match; the value is in the order shown. Sent again with the same `client_id`, it is stored once."""
    return votes.judged(session, votes.judge(session, project, user, match_id, body))


@router.post("/verdicts/{verdict_id}/undo")
def undo(verdict_id: uuid.UUID, user: CurrentUser, project: ProjectDep, session: SessionDep) -> VerdictUndoneOut:
    """Take back one's own verdict on an evaluation's match; the match comes back."""
    match = votes.undo(session, project, user, verdict_id)
    assert match.evaluation_id is not None  # noqa: S101  (only such verdicts can be undone)
    return VerdictUndoneOut(
        card=cards.card(match, user.id), progress=cards.judging(session, match.evaluation_id, user.id)
    )


@router.post("/matches/export", status_code=201)
def export(
    body: MatchExportIn, user: Researcher, project: ProjectDep, session: SessionDep, once: OnceDep
) -> MatchExportOut:
    """Turn judged matches into items with labels; done twice, nothing is added twice."""

    def create() -> MatchExportOut:
        made = exporting.export(session, project, user, body)
        audit.record(session, user, project.id, "export", "matches", made.dataset_id, {"name": made.dataset})
        return made

    return once(body, MatchExportOut, create)
