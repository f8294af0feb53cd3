"""The route by which programs send labels."""

import uuid

from fastapi import APIRouter

from backend.datasets import service as datasets
from backend.deps import ProjectDep, Researcher, SessionDep
from backend.outside import service
from backend.outside.schemas import OutsideLabelsIn, OutsideLabelsOut

router = APIRouter(tags=["labels"])


@router.post("/datasets/{dataset_id}/labels", status_code=201)
def take_labels(
    dataset_id: uuid.UUID, body: OutsideLabelsIn, _: Researcher, session: SessionDep, project: ProjectDep
) -> OutsideLabelsOut:
    """Store labels of judges, or of people elsewhere, in the items' own order; sent again, they are stored once."""
    return service.take(session, datasets.find(session, project, dataset_id), body)
