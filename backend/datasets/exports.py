"""A dataset as a file: lossless rows, TRL's rows, or Parquet; streamed, a short transaction a thousand items."""

import re
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from itertools import chain
from typing import IO

import orjson
from sqlalchemy.orm import Session

from alignment.formats import Item as ReadItem
from alignment.formats import native, parquet, trl
from alignment.formats.preference import Decision, Policy, decide
from backend.datasets import reading
from backend.datasets.models import Dataset
from backend.datasets.schemas import ExportFormat
from backend.errors import Invalid

BLOCK = 1 << 20
Open = Callable[[], AbstractContextManager[Session]]

SUFFIX: dict[ExportFormat, str] = {"native": "jsonl", "trl": "trl.jsonl", "parquet": "parquet"}
MEDIA_TYPE: dict[ExportFormat, str] = {
    "native": "application/x-ndjson",
    "trl": "application/x-ndjson",
    "parquet": "application/vnd.apache.parquet",
}


class NothingToExport(Invalid):
    title = "Nothing to export"


def file_name(dataset: Dataset, format: ExportFormat) -> str:
    """A name for the file that no system chokes on."""
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", dataset.name).strip("-.")[:80]
    return f"{plain or 'dataset'}.{SUFFIX[format]}"


def stream(open_session: Open, dataset: Dataset, format: ExportFormat) -> Iterator[bytes]:
    """The file's bytes.  Raises NothingToExport before the first of them."""
    source = {"native": _native, "trl": _trl, "parquet": _parquet}[format](open_session, dataset.id)
    first = next(source, None)
    if first is None:
        raise NothingToExport(
            f"“{dataset.name}” has nothing to export in this format yet.",
            field="format",
            remedy="Label some pairs first, or export native rows, which hold unlabelled pairs too.",
        )
    return chain([first], source)


def _items(open_session: Open, dataset_id: uuid.UUID) -> Iterator[list[reading.Judged]]:
    after = -1
    while True:
        with open_session() as session:
            found = reading.chunk(session, dataset_id, after)
        if not found:
            return
        yield found
        after = found[-1].item.line


def _native(open_session: Open, dataset_id: uuid.UUID) -> Iterator[bytes]:
    for found in _items(open_session, dataset_id):
        yield b"".join(
            orjson.dumps({**native.render(item), "split": split}, option=orjson.OPT_APPEND_NEWLINE)
            for item, split, _ in found
        )


def _trl(open_session: Open, dataset_id: uuid.UUID) -> Iterator[bytes]:
    policy = Policy()
    for found in _items(open_session, dataset_id):
        rows = [trl.render(decided) for item, _, _ in found if (decided := _decided(item, policy)) is not None]
        if rows:
            yield b"".join(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE) for row in rows)


def _decided(item: ReadItem, policy: Policy) -> ReadItem | None:
    """The item with the chosen response first and the votes as facts; a bare prompt as it is."""
    if not item.responses:
        return item
    decision = decide(item, policy)
    if not isinstance(decision, Decision):
        return None
    facts = decision.facts | ({"meta": item.facts["meta"]} if "meta" in item.facts else {})
    return ReadItem(item.prompt, decision.responses, facts=facts)


def _parquet(open_session: Open, dataset_id: uuid.UUID) -> Iterator[bytes]:
    """Parquet has its index at the end, so the file is made first, unnamed, and sent afterwards."""
    items = (item for found in _items(open_session, dataset_id) for item, _, _ in found)
    with tempfile.TemporaryFile() as file:
        if parquet.write(items, file):
            file.seek(0)
            yield from _blocks(file)


def _blocks(file: IO[bytes]) -> Iterator[bytes]:
    while block := file.read(BLOCK):
        yield block
