"""Putting items and their labels into a dataset by COPY, without doubles, within the caller's transaction."""

import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import islice
from typing import Any

import orjson
import psycopg
from sqlalchemy import ARRAY, String, any_, func, literal, select
from sqlalchemy.orm import Session
from uuid_utils.compat import uuid7

from alignment.formats import Item as ReadItem
from alignment.formats import LabelFacts
from alignment.formats.canonical import content_hash
from alignment.formats.split import split_of
from backend.datasets.models import Dataset, Item
from backend.labels import tallies
from backend.labels.tallies import Said
from backend.work import now

BATCH = 2_000
_COPY_ITEMS = (
    "COPY items (id, project_id, dataset_id, position, split, prompt, prompt_hash, content_hash, responses, facts,"
    " judged) FROM STDIN"
)
_COPY_LABELS = (
    "COPY labels (project_id, item_id, dataset_id, annotator_id, source, kind, value, swapped, seconds, rationale,"
    " version, created_at, surplus, aspects) FROM STDIN"
)
QUESTIONS = {"ranking": "ranking", "thumb": "thumb"}
LabelColumns = tuple[uuid.UUID | None, str, dict[str, Any]]


def kind_of(value: Mapping[str, Any]) -> str:
    """The kind of question that a label answers, as far as its value tells."""
    return next((QUESTIONS[name] for name in value if name in QUESTIONS), "pair")


def imported(label: LabelFacts) -> LabelColumns:
    """Annotator, source and value of a label that a file brought: its own word on who judged stays in the value."""
    value = dict(label.value)
    if label.annotator is not None:
        value["annotator"] = label.annotator
    if label.source != "import":
        value["origin"] = label.source
    return None, "import", value


def own(label: LabelFacts) -> LabelColumns:
    """The same for a label that was made here: `annotator` is the id of a person."""
    return (uuid.UUID(label.annotator) if label.annotator else None), label.source, dict(label.value)


@dataclass
class Added:
    """What came of writing: ids of the new items, and which of the given items were there already."""

    ids: list[uuid.UUID] = field(default_factory=list)
    doubled: list[ReadItem] = field(default_factory=list)
    conflicting: list[ReadItem] = field(default_factory=list)


class Writer:
    """Appends items to one dataset.  Nobody else may append to it before the transaction ends.

    With `again`, an item that several annotators judged is kept although its like stands there already (two models may
    give the same answers): what was said of it would be lost.
    """

    def __init__(
        self,
        session: Session,
        dataset: Dataset,
        label_columns: Callable[[LabelFacts], LabelColumns] = imported,
        *,
        again: bool = False,
    ) -> None:
        self.again = again
        self.session = session
        self.dataset = dataset
        self.label_columns = label_columns
        session.refresh(dataset, ["splits"], with_for_update={"key_share": True})  # labels go on beside it
        last = session.scalar(select(func.max(Item.position)).where(Item.dataset_id == dataset.id))
        self.next_position = 0 if last is None else last + 1

    def add(self, items: Iterable[ReadItem]) -> Added:
        """Write all items that the dataset does not hold yet, or that it keeps `again`, in order."""
        added, source = Added(), iter(items)
        while batch := list(islice(source, BATCH)):
            self._add_batch(batch, added)
        return added

    def _add_batch(self, batch: Sequence[ReadItem], added: Added) -> None:
        hashes = [(prompt_hash := item.prompt_hash, content_hash(prompt_hash, item.responses)) for item in batch]
        known = self._known([hashed for _, hashed in hashes])
        fresh: list[tuple[uuid.UUID, ReadItem, str, str]] = []
        for item, (prompt_hash, hashed) in zip(batch, hashes, strict=True):
            if hashed in known and self.again and len({label.annotator for label in item.labels} - {None}) > 1:
                hashed = sha256(f"{hashed} {self.next_position + len(fresh)}".encode()).hexdigest()
            if hashed in known:
                turned = bool(item.responses) and known[hashed] != item.responses[0]
                (added.conflicting if turned and item.labels else added.doubled).append(item)
                continue
            known[hashed] = item.responses[0] if item.responses else None
            fresh.append((uuid7(), item, prompt_hash, hashed))
        self._copy(fresh)
        added.ids.extend(row[0] for row in fresh)

    def _known(self, hashes: list[str]) -> dict[str, Any]:
        """The first response of each of these contents that the dataset holds."""
        found = self.session.execute(
            select(Item.content_hash, Item.responses[0]).where(
                Item.dataset_id == self.dataset.id, Item.content_hash == any_(literal(hashes, ARRAY(String)))
            )
        )
        return {row[0]: row[1] for row in found}

    def _copy(self, fresh: Sequence[tuple[uuid.UUID, ReadItem, str, str]]) -> None:
        project, dataset = self.dataset.project_id, self.dataset.id
        splits = Counter(self.dataset.splits)
        said = [[self._said(label) for label in item.labels] for _, item, _, _ in fresh]
        stands = [tallies.standing(labels) for labels in said]
        connection = self.session.connection().connection.driver_connection
        assert isinstance(connection, psycopg.Connection)  # noqa: S101  (the engine names psycopg)
        with connection.cursor() as cursor:
            with cursor.copy(_COPY_ITEMS) as copy:
                for place, (item_id, item, prompt_hash, hashed) in enumerate(fresh):
                    split = split_of(str(project), prompt_hash)
                    splits[split] += 1
                    prompt, responses, facts = (_json(part) for part in (item.prompt, item.responses, item.facts))
                    where = (item_id, project, dataset, self.next_position + place, split)
                    judged = bool(stands[place].people)
                    copy.write_row((*where, prompt, prompt_hash, hashed, responses, facts, judged))
            at = now()
            with cursor.copy(_COPY_LABELS) as copy:
                for (item_id, item, _, _), labels in zip(fresh, said, strict=True):
                    for label, (annotator, source, version, value, *_) in zip(item.labels, labels, strict=True):
                        whose = (project, item_id, dataset, annotator, source, kind_of(value))
                        what = (_json(value), False, label.seconds, label.rationale, version, label.created_at or at)
                        rated = None if label.aspects is None else _json(dict(label.aspects))
                        copy.write_row((*whose, *what, label.surplus, rated))
        tallies.note_new(self.session, dataset, zip(said, stands, strict=True))
        self.dataset.splits = dict(splits)
        self.next_position += len(fresh)

    def _said(self, label: LabelFacts) -> Said:
        annotator, source, value = self.label_columns(label)
        return Said(annotator, source, 1, value)


def _json(value: Any) -> str:
    return orjson.dumps(value).decode()
