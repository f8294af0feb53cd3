"""Datasets and their items: making, finding, counting, listing and searching."""

import json
import uuid
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Executable, String, cast, func, select
from sqlalchemy.orm import Session

from alignment.formats import Item as ReadItem
from alignment.formats.writing import NOUNS
from backend import paging
from backend.datasets import judgements
from backend.datasets.models import Dataset, Item, Kind, Snapshot
from backend.datasets.writer import Added, Writer, own
from backend.errors import Conflict, Invalid, NotFound
from backend.projects.models import Project


class NameTaken(Conflict):
    title = "Name taken"


class WrongKind(Invalid):
    title = "Items of another kind"


class Numbers(NamedTuple):
    """What a list shows of a dataset."""

    items: int
    labelled: int
    last_used_at: datetime | None


def refuse_taken(session: Session, project: Project, name: str) -> None:
    """Raise NameTaken when the project has a dataset of that name."""
    if session.scalar(select(Dataset.id).where(Dataset.project_id == project.id, Dataset.name == name)):
        raise NameTaken(f"There is a dataset named “{name}” already.", field="name", remedy="Choose another name.")


def create(
    session: Session,
    project: Project,
    name: str,
    kind: Kind,
    *,
    description: str = "",
    toy: bool = False,
    created_by: uuid.UUID | None = None,
) -> Dataset:
    """A new, empty dataset.  Raises NameTaken."""
    refuse_taken(session, project, name)
    dataset = Dataset(
        project_id=project.id, name=name, kind=kind, description=description, toy=toy, created_by=created_by
    )
    session.add(dataset)
    session.flush()
    return dataset


def create_from_items(
    session: Session,
    project: Project,
    name: str,
    items: Iterable[ReadItem],
    *,
    kind: Kind = Kind.paired,
    description: str = "",
    toy: bool = False,
    created_by: uuid.UUID | None = None,
) -> Dataset:
    """A new dataset holding these items; their labels keep the source they name."""
    dataset = create(session, project, name, kind, description=description, toy=toy, created_by=created_by)
    append(session, dataset, items)
    return dataset


def append(session: Session, dataset: Dataset, items: Iterable[ReadItem]) -> Added:
    """Add items made here (votes, seeds) to a dataset; those it holds already are told, not written.

    A label's `annotator` is the id of a person.  Raises WrongKind.
    """
    given = list(items)
    if any(item.kind != dataset.kind.value for item in given):
        raise WrongKind(f"“{dataset.name}” holds {NOUNS[dataset.kind.value]} alone.", field="dataset_id")
    return Writer(session, dataset, own).add(given)


def find(session: Session, project: Project, dataset_id: uuid.UUID) -> Dataset:
    """The dataset, if it is this project's.  Raises NotFound."""
    found = session.get(Dataset, dataset_id)
    if found is None or found.project_id != project.id:
        raise NotFound.of("dataset")
    return found


def page(
    session: Session, project: Project, cursor: str | None, limit: int, search: str | None = None
) -> tuple[Sequence[Dataset], str | None]:
    """Datasets, newest first, and the cursor of the next page."""
    query = select(Dataset).where(Dataset.project_id == project.id)
    if search:
        query = query.where(Dataset.name.icontains(search, autoescape=True))
    return paging.page(session, query, Dataset.id, cursor, limit)


def numbers(session: Session, datasets: Sequence[Dataset]) -> dict[uuid.UUID, Numbers]:
    """Items, labelled items and last use of each dataset, in three queries whatever their number."""
    ids = [dataset.id for dataset in datasets]
    items = _by_dataset(
        session, select(Item.dataset_id, func.count()).where(Item.dataset_id.in_(ids)).group_by(Item.dataset_id)
    )
    labelled = _by_dataset(session, judgements.labelled_items(ids))
    used = _by_dataset(
        session,
        select(Snapshot.dataset_id, func.max(Snapshot.created_at))
        .where(Snapshot.dataset_id.in_(ids))
        .group_by(Snapshot.dataset_id),
    )
    return {id: Numbers(items.get(id, 0), labelled.get(id, 0), used.get(id)) for id in ids}


def _by_dataset(session: Session, query: Executable) -> dict[uuid.UUID, Any]:
    return {row[0]: row[1] for row in session.execute(query)}


def splits(session: Session, dataset: Dataset) -> dict[str, int]:
    """Number of items in each split."""
    query = select(Item.split, func.count()).where(Item.dataset_id == dataset.id).group_by(Item.split)
    return {row[0]: row[1] for row in session.execute(query)}


def item_page(
    session: Session, dataset: Dataset, cursor: str | None, limit: int, search: str | None, split: str | None
) -> tuple[Sequence[Item], str | None]:
    """Items in order, and the cursor of the next page; `search` looks in prompt and responses, whatever the case."""
    query = select(Item).where(Item.dataset_id == dataset.id)
    if split:
        query = query.where(Item.split == split)
    if search:
        query = query.where(_holds(search))
    return paging.page(session, query, Item.position, cursor, limit, oldest_first=True)


def _holds(search: str) -> ColumnElement[bool]:
    """Whether an item's text contains `search`, spelled the way JSON spells it."""
    spelled = json.dumps(search, ensure_ascii=False)[1:-1]
    return cast(Item.prompt, String).icontains(spelled, autoescape=True) | cast(Item.responses, String).icontains(
        spelled, autoescape=True
    )
