"""The labels that a route is about, by the task or the dataset in its path."""

import uuid
from typing import Annotated

from fastapi import Depends

from backend.deps import ProjectDep, SessionDep
from backend.quality import reading
from backend.quality.reading import Scope


def in_task(task_id: uuid.UUID, project: ProjectDep, session: SessionDep) -> Scope:
    return reading.of_task(session, project.id, task_id)


def in_dataset(dataset_id: uuid.UUID, project: ProjectDep, session: SessionDep) -> Scope:
    return reading.of_dataset(session, project.id, dataset_id)


TaskScope = Annotated[Scope, Depends(in_task)]
DatasetScope = Annotated[Scope, Depends(in_dataset)]
