"""Parquet as a container of rows: read row group by row group, written in batches."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import IO, Any, Final

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from alignment.formats.canonical import BadRow, FileRefused, Item, LabelFacts, Message, RowError
from alignment.formats.native import render

MAX_GROUP_BYTES: Final = 2 << 30
ROWS_AT_ONCE: Final = 1_000
ROWS_READ_AT_ONCE: Final = 200  # a row may unpack to megabytes
BYTES_READ_AT_ONCE: Final = 64 << 20

_MESSAGE: Final = pa.struct([("role", pa.string()), ("content", pa.string()), ("more", pa.string())])
_LABEL: Final = pa.struct(
    [
        ("value", pa.string()),
        ("source", pa.string()),
        ("annotator", pa.string()),
        ("rationale", pa.string()),
        ("seconds", pa.float64()),
        ("created_at", pa.string()),
        ("surplus", pa.bool_()),
        ("aspects", pa.string()),
    ]
)
SCHEMA: Final = pa.schema(
    [
        ("id", pa.string()),
        ("prompt", pa.list_(_MESSAGE)),
        ("responses", pa.list_(_MESSAGE)),
        ("labels", pa.list_(_LABEL)),
        ("facts", pa.string()),
    ]
)
"""Our native row in typed columns; `more`, `value`, `aspects` and `facts` hold JSON."""


def rows(
    path: Path, *, max_row_bytes: int, progress: Callable[[int], None] | None = None
) -> Iterator[tuple[int, dict[str, Any]] | RowError]:
    """Every row with its number from 1; those of more than `max_row_bytes` of JSON as RowError.

    Raises FileRefused for a file that is no readable Parquet.
    """
    size, number = path.stat().st_size, 0
    try:
        with pq.ParquetFile(path, pre_buffer=False) as file:
            for batch in file.iter_batches(batch_size=_rows_at_once(file)):
                for row in batch.to_pylist():
                    number += 1
                    length = _size(row)
                    yield (number, row) if length <= max_row_bytes else _too_long(number, length, max_row_bytes)
                if progress is not None:
                    progress(size * number // max(1, file.metadata.num_rows))
    except (pa.ArrowException, OSError, UnicodeDecodeError):
        raise FileRefused(
            f"The Parquet file is damaged{f' after row {number:,}' if number else ''}.", "Write or copy the file again."
        ) from None
    if not number:
        raise FileRefused("The file holds no rows.", "Choose a file that holds rows.")


def _too_long(number: int, size: int, cap: int) -> RowError:
    return RowError(number, "row", f"The row is {size:,} bytes long; at most {cap:,} are read. It was skipped.")


def _rows_at_once(file: Any) -> int:
    """How many rows are unpacked together, by their mean size.  Raises FileRefused for giant row groups."""
    mean = 1
    for index in range(file.metadata.num_row_groups):
        group = file.metadata.row_group(index)
        size = group.total_byte_size
        if size > MAX_GROUP_BYTES:
            raise FileRefused(
                f"Row group {index + 1} unpacks to {size:,} bytes; at most {MAX_GROUP_BYTES:,} are read at once.",
                "Write the file with smaller row groups.",
            )
        mean = max(mean, size // max(1, group.num_rows))
    return max(1, min(ROWS_READ_AT_ONCE, BYTES_READ_AT_ONCE // mean))


def _size(value: Any) -> int:
    """About the bytes of a value's JSON."""
    if isinstance(value, str):
        return len(value) if value.isascii() else len(value.encode("utf-8", "surrogatepass"))
    if isinstance(value, dict):
        return sum(len(name) + _size(inner) for name, inner in value.items())
    if isinstance(value, list):
        return sum(map(_size, value))
    return len(value) if isinstance(value, bytes) else 8


def plain(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of `SCHEMA` as the native row it was; any other row with its nulls left out."""
    given = {name: _without_nulls(value) for name, value in row.items() if value is not None}
    if isinstance(given.get("facts"), str):
        given["facts"] = _json(given["facts"], "facts")
    for name in ("prompt", "responses"):
        if isinstance(given.get(name), list):
            given[name] = [_opened(turn, f"{name}[{index}]") for index, turn in enumerate(given[name])]
    if isinstance(given.get("labels"), list):
        given["labels"] = [
            _opened_label(label, f"labels[{index}]") if isinstance(label, dict) else label
            for index, label in enumerate(given["labels"])
        ]
    return given


def _without_nulls(value: Any) -> Any:
    """Arrow fills every absent key of a struct with null; a null key and an absent one are the same to us."""
    if isinstance(value, dict):
        return {name: _without_nulls(inner) for name, inner in value.items() if inner is not None}
    return [_without_nulls(inner) for inner in value] if isinstance(value, list) else value


def _opened(turn: Any, field: str) -> Any:
    if not isinstance(turn, dict) or not isinstance(turn.get("more"), str):
        return turn
    more = _json(turn["more"], f"{field}.more")
    if "parts" in more:
        more["content"] = more.pop("parts")
    return {name: value for name, value in turn.items() if name != "more"} | more


def _opened_label(label: dict[str, Any], field: str) -> dict[str, Any]:
    held = [name for name in ("value", "aspects") if isinstance(label.get(name), str)]
    return label | {name: _json(label[name], f"{field}.{name}") for name in held}


def _json(value: str, field: str) -> dict[str, Any]:
    try:
        found = orjson.loads(value)
    except orjson.JSONDecodeError:
        raise BadRow(field, "The text here is no valid JSON.") from None
    if not isinstance(found, dict):
        raise BadRow(field, "An object is expected in the JSON here.")
    return found


def write(items: Iterable[Item], target: IO[bytes]) -> int:
    """Write native rows to `target`, a thousand at a time; returns how many."""
    written, source = 0, iter(items)
    with pq.ParquetWriter(target, SCHEMA, compression="zstd") as writer:
        while batch := list(islice(source, ROWS_AT_ONCE)):
            writer.write_batch(pa.RecordBatch.from_pylist([_columns(item) for item in batch], schema=SCHEMA))
            written += len(batch)
            batch.clear()  # else two batches are held while the next one is made
    return written


def _columns(item: Item) -> dict[str, Any]:
    row = render(item)
    return {
        "id": row.get("id"),
        "prompt": [_closed(turn) for turn in item.prompt],
        "responses": [_closed(turn) for turn in item.responses],
        "labels": [_label(label) for label in item.labels],
        "facts": orjson.dumps(item.facts).decode() if item.facts else None,
    }


def _closed(turn: Message) -> dict[str, Any]:
    more = {name: value for name, value in turn.items() if name not in ("role", "content")}
    return {"role": turn["role"], "content": turn["content"], "more": orjson.dumps(more).decode() if more else None}


def _label(label: LabelFacts) -> dict[str, Any]:
    return {
        "value": orjson.dumps(dict(label.value)).decode(),
        "source": label.source,
        "annotator": label.annotator,
        "rationale": label.rationale,
        "seconds": label.seconds,
        "created_at": label.created_at,
        "surplus": label.surplus or None,
        "aspects": None if label.aspects is None else orjson.dumps(dict(label.aspects)).decode(),
    }
