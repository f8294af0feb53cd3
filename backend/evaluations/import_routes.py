"""Routes of other tools' results: looked at, and imported as an evaluation."""

from fastapi import APIRouter

from backend.audit import service as audit
from backend.deps import OnceDep, ProjectDep, Researcher, SessionDep
from backend.evaluations import importing, service
from backend.evaluations.import_schemas import OutputsOut, ResultsFileIn, ResultsIn, ResultsOut
from backend.evaluations.schemas import EvaluationOut

router = APIRouter()


@router.post("/evaluations/imports/preview")
def preview_results(body: ResultsFileIn, _: Researcher, project: ProjectDep, session: SessionDep) -> ResultsOut:
    """What an uploaded file of AlpacaEval, FastChat or Arena-Hard holds; nothing is stored."""
    return importing.preview(session, project, body.upload_id)


@router.post("/evaluations/imports", status_code=201)
def import_results(
    body: ResultsIn, user: Researcher, project: ProjectDep, session: SessionDep, once: OnceDep
) -> EvaluationOut:
    """Make the file's results an evaluation whose report reads like any other."""

    def create() -> EvaluationOut:
        row = importing.run(session, project, user, body)
        audit.record(session, user, project.id, "import", "evaluation", row.id, {"name": row.name})
        return service.out(session, [row])[0]

    return once(body, EvaluationOut, create)


@router.post("/evaluations/imports/outputs", status_code=201)
def import_outputs(
    body: ResultsFileIn, user: Researcher, project: ProjectDep, session: SessionDep, once: OnceDep
) -> OutputsOut:
    """Keep the outputs that a file holds, of one model or several, as contestants for evaluations to come."""

    def create() -> OutputsOut:
        made = importing.keep(session, project, user, body.upload_id)
        told = {"outputs": [one.name for one in made.contestants]}
        audit.record(session, user, project.id, "import", "checkpoint", made.contestants[0].id, told)
        return made

    return once(body, OutputsOut, create)
