"""How a file would be read: its layout and format, its first rows as items, its first problems, what must be asked."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from alignment import formats
from alignment.formats import (
    AmbiguousFormat,
    Columns,
    FileRefused,
    Mapped,
    RowError,
    Survey,
    Surveyed,
    delimited,
    mapped,
    packed,
)
from alignment.formats.containers import container_of
from alignment.formats.label_studio import fields_of, sides_of
from alignment.formats.survey import NotSaid
from alignment.formats.surveyed import joined

CONTAINERS: Final = {
    "jsonl": "JSON lines",
    "json": "JSON list",
    "parquet": "Parquet",
    "table": "CSV",
    "lines": "Lines of text",
}
START_BYTES: Final = 32 << 20  # of a packed file
SHOWN_ROWS: Final = 10
SHOWN_PROBLEMS: Final = 20


def look(
    path: Path,
    format: str | None,
    columns: Columns | None,
    survey: Survey | None,
    config: str | None,
    max_row_bytes: int,
) -> dict[str, Any]:
    """The preview of a file as plain data.  Raises FileRefused when it cannot be read at all."""
    if packed.packing_of(path) is None:
        return _look(path, format, columns, survey, config, max_row_bytes)
    with tempfile.TemporaryDirectory() as folder:
        start = Path(folder) / "start"
        packed.unpack(path, start, most=START_BYTES, only_start=True)
        return _look(start, format, columns, survey, config, max_row_bytes)


def _look(
    path: Path,
    format: str | None,
    columns: Columns | None,
    survey: Survey | None,
    config: str | None,
    max_row_bytes: int,
) -> dict[str, Any]:
    container = container_of(path)
    rows, problems = formats.sample(path, max_row_bytes=max_row_bytes, columns=columns)
    text = container in ("table", "lines") or (columns is not None and columns.delimiter is not None)
    said = (columns.delimiter, columns.encoding) if columns is not None else (None, None)
    layout = delimited.sniff(path, *said) if text else None
    detected, candidates = _detected(path, rows, problems)
    form = formats.form_of(format, columns) if format or columns else detected
    names = list(dict.fromkeys(formats.excerpt(name, 60) for row in rows for name in row.values))
    parts = None
    if isinstance(form, Surveyed):
        form, parts = _surveyed(form, rows, survey, config, problems)
    items, bad = _parsed(form, rows)
    problems = sorted(problems + bad, key=lambda problem: problem.line)
    return {
        "format": form.NAME if form else None,
        "detected": detected.NAME if detected else None,
        "candidates": candidates,
        "description": form.describe(rows[0].values) if form and rows else "No known format",
        "container": _container(container, layout),
        "delimiter": layout.delimiter if layout else None,
        "encoding": layout.encoding if layout else None,
        "kind": _kind(items),
        "columns": names,
        "mapping": _plain(columns or (mapped.guess(names) if form is None or form.NAME == Mapped.NAME else None)),
        "survey": _plain(form.survey) if isinstance(form, Surveyed) else None,
        "parts": parts,
        "rows": [_shown(item) for item in items[:SHOWN_ROWS]],
        "problems": [asdict(problem) for problem in problems[:SHOWN_PROBLEMS]],
        "rows_looked_at": len(rows) + len({problem.line for problem in problems if problem.field == "row"}),
    }


def _plain(model: Columns | Survey | None) -> dict[str, Any] | None:
    return None if model is None else model.model_dump(mode="json")


def _surveyed(
    form: Surveyed,
    rows: Sequence[formats.SampleRow],
    survey: Survey | None,
    config: str | None,
    problems: list[RowError],
) -> tuple[Surveyed, dict[str, Any]]:
    """The format with the survey given, or guessed; what must be asked goes to the problems."""
    values = [row.values for row in rows]
    parts = form.parts(values)
    try:
        form = form.by(survey or form.guess(values, by_config(config, parts.fields) if config else None))
    except NotSaid as asked:
        problems.insert(0, RowError(0, "survey", f"{asked.reason} {asked.remedy}"))
    return form, asdict(parts)


def by_config(config: str, fields: Sequence[str]) -> dict[str, Any]:
    """What a labeling config says of the survey: the prompt's field, the fields compared, and what a side means."""
    shown, compared = fields_of(config), sides_of(config)
    found: dict[str, Any] = {}
    if compared is not None and set(compared[1]) <= set(fields):
        found = {"question": compared[0], "responses": compared[1]}
        tags = {field: tag for tag, field in shown.items()}
        if len(compared[1]) == 2:
            sides = ((compared[1][0], 1), (compared[1][1], -1))
            found["values"] = {tags.get(field, field): meaning for field, meaning in sides} | {"left": 1, "right": -1}
        rest = [field for field in shown.values() if field not in compared[1] and field in fields]
        if len(rest) == 1:
            found["prompt"] = rest[0]
    return found


def _container(container: str, layout: delimited.Layout | None) -> str:
    if layout is None:
        return CONTAINERS[container]
    name = delimited.NAMES[layout.delimiter] if layout.delimiter else CONTAINERS["lines"]
    return name if layout.encoding == "utf-8" else f"{name}, {layout.encoding}"


def _detected(
    path: Path, rows: Sequence[formats.SampleRow], problems: list[RowError]
) -> tuple[formats.Format | None, list[str]]:
    """The format that the rows show, or those that it could be; why it cannot be told goes to the problems."""
    if not rows:
        return None, []
    try:
        return formats.recognize(path, rows), []
    except FileRefused as refused:
        problems.insert(0, RowError(0, "columns", f"{refused.reason} {refused.remedy}"))
        return None, refused.candidates if isinstance(refused, AmbiguousFormat) else []


def _parsed(
    form: formats.Format | None, rows: Sequence[formats.SampleRow]
) -> tuple[list[formats.Item], list[RowError]]:
    """The items that the rows give in a format, and the rows that give none."""
    if form is None:
        return [], []
    read = list(formats.read_rows(form, rows))
    if isinstance(form, Surveyed):
        read = list(joined(read)) if form.survey else []
    items = [row for row in read if isinstance(row, formats.Item)]
    return items, [row for row in read if isinstance(row, RowError)]


def _kind(items: Sequence[formats.Item]) -> str | None:
    """What most of the items are."""
    found = Counter(item.kind for item in items)
    return found.most_common(1)[0][0] if found else None


def _shown(item: formats.Item) -> dict[str, Any]:
    return {
        "line": item.line,
        "prompt": item.prompt,
        "responses": item.responses,
        "labels": [_label(label) for label in item.labels],
        "facts": item.facts,
    }


def _label(label: formats.LabelFacts) -> dict[str, Any]:
    who = {"annotator": label.annotator, "created_at": label.created_at, "seconds": label.seconds}
    return dict(label.value) | {name: value for name, value in who.items() if value is not None}
