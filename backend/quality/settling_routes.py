"""Routes of disagreements and of what settles them."""

import uuid

from fastapi import APIRouter

from backend.deps import ProjectDep, Researcher, SessionDep
from backend.paging import Cursor, Limit, Page
from backend.quality import adjudicating, disagreements
from backend.quality.schemas import AdjudicatedOut, AdjudicationIn, DisagreementOut
from backend.quality.scopes import DatasetScope, TaskScope

router = APIRouter()


@router.get("/tasks/{task_id}/disagreements")
def task_disagreements(
    user: Researcher, scope: TaskScope, session: SessionDep, cursor: Cursor = None, limit: Limit = 20
) -> Page[DisagreementOut]:
    """Items on which people disagree and that nobody has settled, the most divided first, without the votes."""
    rows, following = disagreements.page(session, scope, user.id, cursor, limit)
    return Page(items=rows, next_cursor=following)


@router.get("/datasets/{dataset_id}/disagreements")
def dataset_disagreements(
    user: Researcher, scope: DatasetScope, session: SessionDep, cursor: Cursor = None, limit: Limit = 20
) -> Page[DisagreementOut]:
    """The same of all labels of a dataset."""
    rows, following = disagreements.page(session, scope, user.id, cursor, limit)
    return Page(items=rows, next_cursor=following)


@router.post("/items/{item_id}/adjudication", status_code=201)
def adjudicate(
    item_id: uuid.UUID, body: AdjudicationIn, user: Researcher, project: ProjectDep, session: SessionDep
) -> AdjudicatedOut:
    """Settle an item, in the order of sides shown to the caller; the answer shows what the others said."""
    return adjudicating.adjudicate(session, user, project.id, item_id, body)
