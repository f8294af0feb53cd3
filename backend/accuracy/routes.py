"""Routes of accuracy on labelled pairs."""

import uuid

from fastapi import APIRouter

from backend.accuracy import service
from backend.accuracy.schemas import AccuracyIn, AccuracyOut, ResumeAccuracyIn
from backend.checkpoints import service as checkpoints
from backend.deps import OnceDep, ProjectDep, Researcher, SessionDep
from backend.paging import Cursor, Limit, Page

router = APIRouter(tags=["evaluations"])


@router.post("/datasets/{dataset_id}/accuracies", status_code=202)
def measure_accuracy(
    dataset_id: uuid.UUID, body: AccuracyIn, user: Researcher, project: ProjectDep, session: SessionDep, once: OnceDep
) -> AccuracyOut:
    """Let a judge decide the labelled pairs of a dataset in both side orders, and see how often it is right."""

    def made() -> AccuracyOut:
        return service.out(session, [service.request(session, project, user, dataset_id, body)])[0]

    return once(body, AccuracyOut, made)


@router.get("/datasets/{dataset_id}/accuracies")
def accuracies_on_dataset(
    dataset_id: uuid.UUID, _: Researcher, project: ProjectDep, session: SessionDep, cursor: Cursor = None,
    limit: Limit = 20,
) -> Page[AccuracyOut]:  # fmt: skip
    """What was measured on the pairs of a dataset, newest first."""
    rows, following = service.page(session, project, dataset_id, cursor, limit)
    return Page(items=service.out(session, rows), next_cursor=following)


@router.get("/checkpoints/{checkpoint_id}/accuracies")
def accuracies_of_checkpoint(
    checkpoint_id: uuid.UUID, _: Researcher, project: ProjectDep, session: SessionDep, cursor: Cursor = None,
    limit: Limit = 20,
) -> Page[AccuracyOut]:  # fmt: skip
    """What was measured of judges that ask a checkpoint, newest first."""
    checkpoint = checkpoints.find(session, project, checkpoint_id)
    rows, following = service.page_of(session, project, checkpoint, cursor, limit)
    return Page(items=service.out(session, rows), next_cursor=following)


@router.get("/accuracies/{accuracy_id}")
def get_accuracy(accuracy_id: uuid.UUID, _: Researcher, project: ProjectDep, session: SessionDep) -> AccuracyOut:
    """One of them, with its progress and what was found."""
    return service.out(session, [service.find(session, project, accuracy_id)])[0]


@router.post("/accuracies/{accuracy_id}/cancel")
def cancel_accuracy(accuracy_id: uuid.UUID, _: Researcher, project: ProjectDep, session: SessionDep) -> AccuracyOut:
    """Stop measuring."""
    return service.out(session, [service.cancel(session, project, accuracy_id)])[0]


@router.post("/accuracies/{accuracy_id}/resume")
def resume_accuracy(
    accuracy_id: uuid.UUID,
    _: Researcher,
    project: ProjectDep,
    session: SessionDep,
    body: ResumeAccuracyIn | None = None,
) -> AccuracyOut:
    """Let what failed or was cancelled go on; pairs that are decided are not decided again."""
    row = service.resume(session, project, accuracy_id, body.limits if body else None)
    return service.out(session, [row])[0]
