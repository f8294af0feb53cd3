"""A dataset as a file: streamed, a short transaction a thousand items; and what of it the file would lose."""

import re
import tempfile
import uuid
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from itertools import chain
from typing import IO, Any

import orjson
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from alignment.formats import FORMATS, Mapped, cells, delimited, native, parquet, prompts
from alignment.formats.preference import BothBad, Policy
from alignment.formats.ranking import PairRule
from alignment.formats.writing import CannotWrite, Export, change
from backend.datasets import reading
from backend.datasets.asked import refuse_other_task
from backend.datasets.models import Dataset, Item, Kind
from backend.datasets.schemas import LossesOut
from backend.errors import Invalid

BLOCK = 1 << 20
LOOKED_AT = 50_000  # items that are counted before an export; more would keep people waiting
PARQUET = "parquet"
Open = Callable[[], AbstractContextManager[Session]]
LINES = "application/x-ndjson"
MEDIA_TYPES = {"jsonl": LINES, "parquet": "application/vnd.apache.parquet", "csv": "text/csv", "txt": "text/plain"}
_DELIMITERS = {"comma": ",", "tab": "\t"}


class NothingToExport(Invalid):
    title = "Nothing to export"


class NotInThisFormat(Invalid):
    title = "Not in this format"


def plan(
    session: Session,
    dataset: Dataset,
    format: str,
    style: str | None,
    rule: PairRule | None,
    policy: Policy,
    both_bad: BothBad = "leave_out",
) -> Export:
    """How the dataset is written.  Raises NotInThisFormat, OtherTask."""
    refuse_other_task(session, dataset, policy, "task")
    form = native if format == PARQUET else FORMATS[format]
    try:
        return Export(form, dataset.kind.value, style=style, policy=policy, rule=rule, both_bad=both_bad)
    except CannotWrite as cannot:
        raise NotInThisFormat(cannot.reason, field="format", remedy=cannot.remedy) from None


def suffix(format: str, style: str) -> str:
    """The end of the file's name."""
    if format == PARQUET:
        return PARQUET
    if format == Mapped.NAME:
        return "tsv" if style == "tab" else "csv"
    if (format, style) == (prompts.NAME, "lines"):
        return "txt"
    return "jsonl" if format == native.NAME else f"{format}.jsonl"


def media_type(format: str, style: str) -> str:
    """What the file is, for the browser."""
    end = suffix(format, style).rpartition(".")[2]
    return "text/tab-separated-values" if end == "tsv" else MEDIA_TYPES[end]


def file_name(dataset: Dataset, format: str, style: str) -> str:
    """A name for the file that no system chokes on."""
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", dataset.name).strip("-.")[:80]
    return f"{plain or 'dataset'}.{suffix(format, style)}"


def stream(open_session: Open, dataset: Dataset, format: str, export: Export) -> Iterator[bytes]:
    """The file's bytes.  Raises NothingToExport before the first of them."""
    if format == PARQUET:
        source = _parquet(open_session, dataset.id, export)
    elif format == native.NAME:
        source = _native(open_session, dataset.id, export)
    else:
        source = _rows(open_session, dataset.id, format, export)
    first = next(source, None)
    if first is None:
        raise NothingToExport(
            f"“{dataset.name}” has nothing to export in this format yet.",
            field="format",
            remedy="Label some pairs first, or export native rows, which hold unlabelled pairs too.",
        )
    return chain([first], source)


def losses(session: Session, dataset: Dataset, format: str, export: Export) -> LossesOut:
    """What the file would lose, counted over the first items without writing it."""
    looked_at, after = 0, -1
    while looked_at < LOOKED_AT and (found := reading.chunk(session, dataset.id, after, task_id=export.policy.task)):
        for judged in found:
            for _ in export.rows(judged.item):
                pass
        looked_at += len(found)
        after = found[-1].item.line
    counted = export.losses
    items = session.scalar(select(func.count()).where(Item.dataset_id == dataset.id)) or 0
    said = counted.sentences(export.form.TITLE)
    if items > looked_at:
        said.insert(0, f"Counted over the first {looked_at:,} of {items:,} items.")
    return LossesOut(
        format=format,
        style=export.style,
        kind=Kind(export.target),
        change=change(export.kind, export.target),
        items=items,
        looked_at=looked_at,
        rows=counted.rows,
        left_out=dict(counted.left_out),
        dropped=dict(counted.dropped),
        sentences=said,
    )


def _items(open_session: Open, dataset_id: uuid.UUID, export: Export) -> Iterator[list[reading.Judged]]:
    """Every item, a thousand at a time; the next thousand is read while the caller writes the last."""

    def read(after: int) -> list[reading.Judged]:
        with open_session() as session:
            return reading.chunk(session, dataset_id, after, task_id=export.policy.task)

    with ThreadPoolExecutor(1, "reading") as ahead:
        found = read(-1)
        while found:
            following = ahead.submit(read, found[-1].item.line)
            yield found
            found = following.result()


def _native(open_session: Open, dataset_id: uuid.UUID, export: Export) -> Iterator[bytes]:
    for found in _items(open_session, dataset_id, export):
        yield b"".join(
            orjson.dumps({**native.render(export.whole(item)), "split": split}, option=orjson.OPT_APPEND_NEWLINE)
            for item, split, _ in found
        )


def _rows(open_session: Open, dataset_id: uuid.UUID, format: str, export: Export) -> Iterator[bytes]:
    chunks = (
        [row for judged in found for row in export.rows(judged.item)]
        for found in _items(open_session, dataset_id, export)
    )
    if format == Mapped.NAME:
        return _table((row for rows in chunks for row in rows), export)
    if (format, export.style) == (prompts.NAME, "lines"):
        return ("".join(f"{row['text']}\n" for row in rows).encode() for rows in chunks if rows)
    return (b"".join(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE) for row in rows) for rows in chunks if rows)


def _table(rows: Iterable[dict[str, Any]], export: Export) -> Iterator[bytes]:
    """The table, unless it would hold nothing but its header."""
    source = iter(rows)
    first = next(source, None)
    if first is not None:
        yield from delimited.write(chain([first], source), cells.header(export.target), _DELIMITERS[export.style])


def _parquet(open_session: Open, dataset_id: uuid.UUID, export: Export) -> Iterator[bytes]:
    """Parquet has its index at the end, so the file is made first, unnamed, and sent afterwards."""
    items = (export.whole(item) for found in _items(open_session, dataset_id, export) for item, _, _ in found)
    with tempfile.TemporaryFile() as file:
        if parquet.write(items, file):
            file.seek(0)
            yield from _blocks(file)


def _blocks(file: IO[bytes]) -> Iterator[bytes]:
    while block := file.read(BLOCK):
        yield block
