"""How a file would be read: its layout and format, its first rows as items, its first problems."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from alignment import formats
from alignment.formats import AmbiguousFormat, Columns, FileRefused, Mapped, RowError, delimited, mapped
from alignment.formats.containers import container_of, layout_of
from alignment.formats.losses import stated
from backend.datasets.models import Kind
from backend.datasets.schemas import FormatOut, PreviewOut, PreviewRow, Problem, StyleOut
from backend.datasets.uploads import FileUnreadable
from backend.settings import Settings

CONTAINERS = {
    "jsonl": "JSON lines",
    "json": "JSON list",
    "parquet": "Parquet",
    "table": "CSV",
    "lines": "Lines of text",
}
SHOWN_ROWS = 10
SHOWN_PROBLEMS = 20


def look(path: Path, format: str | None, columns: Columns | None, settings: Settings) -> PreviewOut:
    """How the file would be read, from its first rows.  Raises FileUnreadable when it cannot be read at all."""
    try:
        container = container_of(path)
        rows, problems = formats.sample(path, max_row_bytes=settings.max_line_bytes, columns=columns)
        layout = layout_of(path, container, columns)
    except FileRefused as refused:
        raise FileUnreadable(refused.reason, field="file", remedy=refused.remedy) from None
    detected, candidates = _detected(path, rows, problems)
    form = formats.form_of(format, columns) if format or columns else detected
    names = list(dict.fromkeys(formats.excerpt(name, 60) for row in rows for name in row.values))
    items, bad = _parsed(form, rows)
    problems = sorted(problems + bad, key=lambda problem: problem.line)
    return PreviewOut(
        format=form.NAME if form else None,
        detected=detected.NAME if detected else None,
        candidates=candidates,
        description=form.describe(rows[0].values) if form and rows else "No known format",
        container=_container(container, layout),
        delimiter=layout.delimiter if layout else None,
        encoding=layout.encoding if layout else None,
        kind=_kind(items),
        columns=names,
        mapping=columns or (mapped.guess(names) if form is None or form.NAME == Mapped.NAME else None),
        rows=[_shown(item) for item in items[:SHOWN_ROWS]],
        problems=[Problem.model_validate(problem) for problem in problems[:SHOWN_PROBLEMS]],
        rows_looked_at=len(rows) + len({problem.line for problem in problems if problem.field == "row"}),
        formats=catalogue(),
    )


def catalogue() -> list[FormatOut]:
    """Every format with what it holds."""
    return [
        FormatOut(
            name=form.NAME,
            title=form.TITLE,
            kinds=[kind for kind in Kind if kind.value in form.KINDS],
            styles=[StyleOut(name=style, losses=stated(holds)) for style, holds in form.STYLES.items()],
            notes=list(form.NOTES),
            example=form.EXAMPLE,
        )
        for form in formats.FORMATS.values()
    ]


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
    items = [row for row in read if isinstance(row, formats.Item)]
    return items, [row for row in read if isinstance(row, RowError)]


def _kind(items: Sequence[formats.Item]) -> Kind | None:
    """What most of the items are."""
    found = Counter(item.kind for item in items)
    return Kind(found.most_common(1)[0][0]) if found else None


def _shown(item: formats.Item) -> PreviewRow:
    return PreviewRow(
        line=item.line,
        prompt=[dict(turn) for turn in item.prompt],
        responses=[dict(answer) for answer in item.responses],
        labels=[dict(label.value) for label in item.labels],
        facts=item.facts,
    )
