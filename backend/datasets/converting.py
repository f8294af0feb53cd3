"""A dataset's items as a new dataset of another kind, by a rule that somebody stated and whose outcome they can see."""

import uuid
from collections.abc import Iterator
from itertools import islice
from typing import Final

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from alignment.formats import Item as ReadItem
from alignment.formats.conversion import Conversion
from alignment.formats.conversions import CONVERSIONS
from alignment.formats.converting import Counted, Found
from alignment.formats.writing import NOUNS
from backend.datasets import reading, service
from backend.datasets.models import Dataset, Item, Kind
from backend.datasets.schemas import (
    ConversionOut,
    ConvertedOut,
    ConvertPreviewOut,
    DatasetConvertIn,
    MadeFrom,
    PreviewRow,
)
from backend.datasets.service import WrongKind
from backend.datasets.writer import Writer
from backend.errors import Invalid
from backend.projects.models import Project

MOST_MADE: Final = 100_000  # while somebody waits, doubles among them
LOOKED_AT: Final = 20_000  # items that a preview looks at
SHOWN: Final = 5


class NothingMade(Invalid):
    title = "Nothing to make"


class TooManyMade(Invalid):
    title = "Too many items"


def choices(dataset: Dataset) -> list[ConversionOut]:
    """What can be made of the dataset's items."""
    return [
        ConversionOut(
            name=rule.model_fields["name"].default,
            title=rule.TITLE,
            does=rule.DOES,
            to=Kind(rule.TO),
            form=rule.model_json_schema(),
        )
        for rule in CONVERSIONS
        if dataset.kind.value == rule.KIND
    ]


def preview(session: Session, dataset: Dataset, rule: Conversion) -> ConvertPreviewOut:
    """What the rule makes of the first items.  Raises WrongKind."""
    _refuse_kind(dataset, rule)

    def looked_at() -> Iterator[ReadItem]:
        return islice(_items(session, dataset, rule), LOOKED_AT)

    found = Found(looked_at(), rule, MOST_MADE)
    counted = found.counted
    rows = [_row(made) for made in islice(found.take(looked_at()), min(SHOWN, counted.made))]
    items = session.scalar(select(func.count()).where(Item.dataset_id == dataset.id)) or 0
    said = counted.sentences()
    if items > counted.items:
        said.insert(0, f"Counted over the first {counted.items:,} of {items:,} items.")
    if counted.more:
        said.insert(0, f"They make more than {MOST_MADE:,} items, which are the most that are made at once.")
    return ConvertPreviewOut(
        to=Kind(rule.TO),
        items=items,
        looked_at=counted.items,
        made=counted.made,
        left_out=dict(+counted.left),
        doubled=counted.doubled,
        contradicting=counted.contradicting,
        more=counted.more,
        sentences=said,
        rows=rows,
    )


def make(
    session: Session, project: Project, user_id: uuid.UUID, dataset: Dataset, body: DatasetConvertIn
) -> ConvertedOut:
    """A new dataset of what the rule makes, which says where it came from.

    Raises WrongKind, NameTaken, NothingMade, TooManyMade.
    """
    rule = body.rule
    _refuse_kind(dataset, rule)
    made = service.create(
        session,
        project,
        body.name,
        Kind(rule.TO),
        description=f"Made of “{dataset.name}”.",
        toy=dataset.toy,
        created_by=user_id,
    )
    found = Found(_items(session, dataset, rule), rule, MOST_MADE)
    counted = found.counted
    _refuse_amount(dataset, counted)
    added = Writer(session, made).add(found.take(_items(session, dataset, rule)))
    left_out = dict(+counted.left)
    made.made_from = MadeFrom(
        dataset_id=dataset.id,
        name=dataset.name,
        kind=dataset.kind,
        rule=rule.model_dump(),
        title=rule.TITLE,
        left_out=left_out,
        doubled=counted.doubled,
        contradicting=counted.contradicting,
    ).model_dump(mode="json")
    session.flush()
    return ConvertedOut(
        dataset_id=made.id,
        items=len(added.ids),
        left_out=left_out,
        doubled=counted.doubled,
        contradicting=counted.contradicting,
    )


def _refuse_kind(dataset: Dataset, rule: Conversion) -> None:
    if dataset.kind.value != rule.KIND:
        raise WrongKind(
            f"“{dataset.name}” holds {NOUNS[dataset.kind.value]}, and the rule is for {NOUNS[rule.KIND]}.",
            field="rule.name",
            remedy="Choose a rule for what it holds.",
        )


def _items(session: Session, dataset: Dataset, rule: Conversion) -> Iterator[ReadItem]:
    walk = reading.by_prompt if rule.GROUPED else reading.walk
    return (judged.item for judged in walk(session, dataset.id))


def _refuse_amount(dataset: Dataset, counted: Counted) -> None:
    if counted.more:
        raise TooManyMade(
            f"The rule makes more than {MOST_MADE:,} items.",
            field="rule",
            remedy="Choose a rule that makes fewer, or export the dataset in a format of that kind and import it.",
        )
    if not counted.made:
        raise NothingMade(
            f"“{dataset.name}” gives nothing by this rule. {' '.join(counted.sentences())}".rstrip(),
            field="rule",
            remedy="Look at the preview of another rule.",
        )


def _row(made: ReadItem) -> PreviewRow:
    return PreviewRow(
        line=made.line,
        prompt=[dict(turn) for turn in made.prompt],
        responses=[dict(one) for one in made.responses],
        labels=[{"source": label.source, "value": dict(label.value)} for label in made.labels],
        facts=made.facts,
    )
