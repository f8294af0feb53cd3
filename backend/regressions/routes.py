"""Routes of checks for regressions."""

import uuid

from fastapi import APIRouter

from backend.audit import service as audit
from backend.deps import OnceDep, ProjectDep, Researcher, SessionDep
from backend.paging import Cursor, Limit, Page
from backend.regressions import service
from backend.regressions.schemas import RegressionIn, RegressionOut
from backend.runs import service as runs

router = APIRouter(tags=["runs"])


@router.post("/runs/{run_id}/regressions", status_code=202)
def check_for_regressions(
    run_id: uuid.UUID, body: RegressionIn, user: Researcher, project: ProjectDep, session: SessionDep, once: OnceDep
) -> RegressionOut:
    """Compare a run's checkpoint with its base on prompt checks, refusals and tasks of a harness."""
    run = runs.find(session, project, run_id)

    def made() -> RegressionOut:
        row = service.request(session, project, user, run, body)
        audit.record(session, user, project.id, "launch", "regression", row.id, {"run": run.name})
        return service.out(session, [row])[0]

    return once(body, RegressionOut, made)


@router.get("/runs/{run_id}/regressions")
def regressions_of_run(
    run_id: uuid.UUID, _: Researcher, project: ProjectDep, session: SessionDep, cursor: Cursor = None,
    limit: Limit = 20,
) -> Page[RegressionOut]:  # fmt: skip
    """The checks of a run, newest first."""
    rows, following = service.page(session, runs.find(session, project, run_id), cursor, limit)
    return Page(items=service.out(session, rows), next_cursor=following)


@router.get("/regressions/{regression_id}")
def get_regression(regression_id: uuid.UUID, _: Researcher, project: ProjectDep, session: SessionDep) -> RegressionOut:
    """One of them, with its progress and what was found."""
    return service.out(session, [service.find(session, project, regression_id)])[0]
