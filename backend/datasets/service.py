"""Datasets and their items: making, finding, counting, listing and searching."""

import json
import uuid
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import ColumnElement, String, cast, func, select
from sqlalchemy.orm import Session

from alignment.formats import Item as ReadItem
from alignment.formats.writing import NOUNS
from backend import paging
from backend.datasets.models import Dataset, Item, Kind, Snapshot
from backend.datasets.writer import Added, Writer, own
from backend.errors import Conflict, Invalid, NotFound
from backend.labels import tallies
from backend.projects.models import Project

LOOKED_AT = 20_000  # items that one page of a search looks at


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
    """Items, labelled items and last use of each dataset, in two queries whatever their number."""
    ids = [dataset.id for dataset in datasets]
    counts = tallies.counts(session, ids)
    last = select(Snapshot.dataset_id, func.max(Snapshot.created_at)).where(Snapshot.dataset_id.in_(ids))
    used = {row[0]: row[1] for row in session.execute(last.group_by(Snapshot.dataset_id))}
    return {
        one.id: Numbers(
            items=sum(one.splits.values()),
            labelled=counts[one.id].labelled if one.id in counts else 0,
            last_used_at=used.get(one.id),
        )
        for one in datasets
    }


def item_page(
    session: Session, dataset: Dataset, cursor: str | None, limit: int, search: str | None, split: str | None
) -> tuple[Sequence[Item], str | None]:
    """Items in order, and the cursor of the next page; `search` looks in prompt and responses, whatever the case.

    A filtered page looks at `LOOKED_AT` items and no more, so it may hold few items, or none, and still have a cursor.
    """
    query = select(Item).where(Item.dataset_id == dataset.id)
    reach = -1 if cursor is None else paging.position(cursor)
    if search or split:
        reach += LOOKED_AT
        query = query.where(Item.position <= reach)
    if split:
        query = query.where(Item.split == split)
    if search:
        query = query.where(_holds(search))
    rows, following = paging.page(session, query, Item.position, cursor, limit, oldest_first=True)
    if (search or split) and following is None and reach < sum(dataset.splits.values()) - 1:
        following = str(reach)
    return rows, following


def _holds(search: str) -> ColumnElement[bool]:
    """Whether an item's text contains `search`, spelled the way JSON spells it."""
    spelled = json.dumps(search, ensure_ascii=False)[1:-1]
    return cast(Item.prompt, String).icontains(spelled, autoescape=True) | cast(Item.responses, String).icontains(
        spelled, autoescape=True
    )
