"""Routes of datasets, their items and snapshots."""

import uuid
from typing import Annotated

from fastapi import APIRouter, Query

from backend.accounts.models import Role
from backend.datasets import judgements, lengths, outgoing, policies, service, snapshots, transfers
from backend.datasets.models import Dataset
from backend.datasets.schemas import (
    BarOut,
    DatasetBrief,
    DatasetDetail,
    DatasetOut,
    ItemOut,
    MadeFrom,
    PolicyPreviewOut,
    SnapshotIn,
    SnapshotLabelOut,
    SnapshotOut,
)
from backend.deps import OnceDep, PlaceDep, ProjectDep, Researcher, SessionDep
from backend.labels import tallies
from backend.paging import Cursor, Limit, Page
from backend.settings import get_settings

router = APIRouter(tags=["datasets"])
router.include_router(transfers.router)
router.include_router(outgoing.router)

Search = Annotated[str | None, Query(max_length=200)]


def _out(dataset: Dataset, numbers: service.Numbers) -> DatasetOut:
    return DatasetOut(
        id=dataset.id,
        name=dataset.name,
        kind=dataset.kind,
        description=dataset.description,
        toy=dataset.toy,
        created_at=dataset.created_at,
        **numbers._asdict(),
    )


@router.get("/datasets")
def list_datasets(
    place: PlaceDep,
    session: SessionDep,
    cursor: Cursor = None,
    limit: Limit = 50,
    search: Search = None,
) -> Page[DatasetOut] | Page[DatasetBrief]:
    """Datasets, newest first; annotators see names and numbers only."""
    rows, next_cursor = service.page(session, place.project, cursor, limit, search)
    numbers = service.numbers(session, rows)
    full = [_out(row, numbers[row.id]) for row in rows]
    if place.role is Role.annotator:
        brief = [DatasetBrief(**dataset.model_dump(include=set(DatasetBrief.model_fields))) for dataset in full]
        return Page[DatasetBrief](items=brief, next_cursor=next_cursor)
    return Page[DatasetOut](items=full, next_cursor=next_cursor)


@router.get("/datasets/{dataset_id}")
def read_dataset(dataset_id: uuid.UUID, place: PlaceDep, session: SessionDep) -> DatasetDetail | DatasetBrief:
    """One dataset with its splits, labels and lengths; annotators see its name and numbers only."""
    dataset = service.find(session, place.project, dataset_id)
    out = _out(dataset, service.numbers(session, [dataset])[dataset.id])
    if place.role is Role.annotator:
        return DatasetBrief(**out.model_dump(include=set(DatasetBrief.model_fields)))
    sources = tallies.sources(session, dataset.id)
    bars, looked_at = lengths.histogram(session, dataset.id)
    return DatasetDetail(
        **out.model_dump(),
        labels=sum(sources.values()),
        splits=dataset.splits,
        sources=sources,
        lengths=[BarOut.model_validate(bar) for bar in bars],
        length_sample=looked_at,
        made_from=None if dataset.made_from is None else MadeFrom.model_validate(dataset.made_from),
    )


@router.get("/datasets/{dataset_id}/items")
def list_items(
    dataset_id: uuid.UUID,
    _: Researcher,
    session: SessionDep,
    project: ProjectDep,
    cursor: Cursor = None,
    limit: Limit = 25,
    search: Search = None,
    split: Annotated[str | None, Query(pattern="^(train|validation|test)$")] = None,
) -> Page[ItemOut]:
    """Items in order with the labels that count; `search` looks in prompts and responses.

    A search goes on at `next_cursor` until that is null: a page looks at so many items, and may find none among them.
    """
    dataset = service.find(session, project, dataset_id)
    rows, next_cursor = service.item_page(session, dataset, cursor, limit, search, split)
    labels = judgements.current(session, [row.id for row in rows])
    items = []
    for row in rows:
        item = ItemOut.model_validate({name: getattr(row, name) for name in ItemOut.model_fields if name != "labels"})
        item.labels = [{"source": label.source.value, "value": label.value} for label in labels.get(row.id, [])]
        items.append(item)
    return Page(items=items, next_cursor=next_cursor)


@router.post("/datasets/{dataset_id}/snapshots", status_code=201)
def freeze_dataset(
    dataset_id: uuid.UUID, body: SnapshotIn, _: Researcher, session: SessionDep, project: ProjectDep, once: OnceDep
) -> SnapshotOut:
    """Freeze the decided pairs; nothing changed since the last time gives the same snapshot."""
    dataset = service.find(session, project, dataset_id)

    def create() -> SnapshotOut:
        row = snapshots.freeze(session, dataset, body.policy, get_settings().snapshots)
        return SnapshotOut.model_validate(row).model_copy(update={"dataset_name": dataset.name})

    return once(body, SnapshotOut, create)


@router.post("/datasets/{dataset_id}/snapshots/preview")
def preview_policy(
    dataset_id: uuid.UUID, body: SnapshotIn, _: Researcher, session: SessionDep, project: ProjectDep
) -> PolicyPreviewOut:
    """How many examples a policy gives, and others that differ in one choice, and what is left out; writes nothing."""
    return policies.preview(session, service.find(session, project, dataset_id), body.policy)


@router.get("/snapshots")
def list_snapshots(
    _: Researcher,
    session: SessionDep,
    project: ProjectDep,
    cursor: Cursor = None,
    limit: Limit = 50,
    dataset_id: uuid.UUID | None = None,
) -> Page[SnapshotOut]:
    """Snapshots, newest first."""
    rows, next_cursor = snapshots.page(session, project, cursor, limit, dataset_id)
    items = [SnapshotOut.model_validate(row).model_copy(update={"dataset_name": name}) for row, name in rows]
    return Page(items=items, next_cursor=next_cursor)


@router.get("/snapshots/{snapshot_id}")
def read_snapshot(snapshot_id: uuid.UUID, _: Researcher, session: SessionDep, project: ProjectDep) -> SnapshotOut:
    """One snapshot."""
    row = snapshots.find(session, project, snapshot_id)
    name = service.find(session, project, row.dataset_id).name
    return SnapshotOut.model_validate(row).model_copy(update={"dataset_name": name})


@router.get("/snapshots/{snapshot_id}/labels")
def list_snapshot_labels(
    snapshot_id: uuid.UUID,
    _: Researcher,
    session: SessionDep,
    project: ProjectDep,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> Page[SnapshotLabelOut]:
    """The labels that decided a snapshot's examples."""
    found = snapshots.find(session, project, snapshot_id)
    rows, next_cursor = snapshots.labels(session, found, cursor, limit)
    return Page(items=[SnapshotLabelOut.model_validate(row) for row in rows], next_cursor=next_cursor)
