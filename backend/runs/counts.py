"""How many pairs a run will train on, before anything is frozen."""

from typing import NamedTuple

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.orm import Session

from alignment.formats.preference import Policy
from backend.datasets import judgements
from backend.datasets.models import Dataset, Item, Snapshot
from backend.labels.models import Label, LabelSource

SOURCES = {
    "people": (LabelSource.person, LabelSource.vote),
    "imports": (LabelSource.imported,),
    "judges": (LabelSource.judge,),
}


class Pairs(NamedTuple):
    """Decided pairs of two splits; `exact` is false where votes may still outweigh each other."""

    train: int
    validation: int
    exact: bool


def of_snapshot(snapshot: Snapshot) -> Pairs:
    """The pairs of a frozen snapshot."""
    return Pairs(snapshot.counts.get("train", 0), snapshot.counts.get("validation", 0), exact=True)


def of_dataset(session: Session, dataset: Dataset, policy: Policy) -> Pairs:
    """About how many examples a freeze would make: pairs with a newest label that prefers one side, or such labels."""
    who = judgements.annotator()
    newest = (
        select(Item.split, Label.item_id, Label.value)
        .join(Item, Item.id == Label.item_id)
        .where(Item.dataset_id == dataset.id)
        .ext(distinct_on(Label.item_id, who))
        .order_by(Label.item_id, who, Label.version.desc())
    )
    if policy.sources in SOURCES:
        newest = newest.where(Label.source.in_(SOURCES[policy.sources]))
    found = newest.subquery()
    decided = (
        select(found.c.split, found.c.item_id, func.count().label("labels"))
        .where(found.c.value["strength"].as_float() != 0)
        .group_by(found.c.split, found.c.item_id)
        .having(func.count() >= policy.min_votes)
        .subquery()
    )
    counted = func.sum(decided.c.labels) if policy.unit == "label" else func.count()
    splits: dict[str, int] = dict(session.execute(select(decided.c.split, counted).group_by(decided.c.split)).all())
    return Pairs(int(splits.get("train", 0)), int(splits.get("validation", 0)), exact=False)
