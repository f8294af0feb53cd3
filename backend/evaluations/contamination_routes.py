"""Routes of the search for an evaluation's prompts in what its contestants were trained on."""

import uuid

from fastapi import APIRouter

from backend.audit import service as audit
from backend.deps import ProjectDep, Researcher, SessionDep
from backend.errors import NotFound
from backend.evaluations import contamination, service
from backend.evaluations.contamination_schemas import ContaminationOut
from backend.work import request_stop

router = APIRouter(prefix="/evaluations/{evaluation_id}/contamination")


@router.get("")
def get_contamination(
    evaluation_id: uuid.UUID, _: Researcher, project: ProjectDep, session: SessionDep
) -> ContaminationOut:
    """How many of the prompts stand in what each contestant was trained on."""
    return contamination.read(session, service.find(session, project, evaluation_id))


@router.post("", status_code=202)
def ask_contamination(
    evaluation_id: uuid.UUID, user: Researcher, project: ProjectDep, session: SessionDep
) -> ContaminationOut:
    """Look for the prompts in the training data, anew where that has ended."""
    evaluation = service.find(session, project, evaluation_id, lock=True)
    contamination.ask(session, evaluation)
    audit.record(session, user, project.id, "measure", "evaluation", evaluation.id, {"of": "contamination"})
    return contamination.read(session, evaluation)


@router.post("/cancel")
def cancel_contamination(
    evaluation_id: uuid.UUID, user: Researcher, project: ProjectDep, session: SessionDep
) -> ContaminationOut:
    """Ask for the end."""
    evaluation = service.find(session, project, evaluation_id)
    row = contamination.of(session, evaluation, lock=True)
    if row is None:
        raise NotFound.of("search for prompts")
    request_stop(row)
    audit.record(session, user, project.id, "cancel", "evaluation", evaluation.id, {"of": "contamination"})
    session.flush()
    return contamination.read(session, evaluation)
