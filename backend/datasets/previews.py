"""How a file would be read: its layout and format, its first rows as items, its first problems."""

from pathlib import Path

from alignment import formats
from alignment.formats import FileRefused, apart
from alignment.formats.losses import stated
from backend.datasets.models import Kind
from backend.datasets.schemas import FormatOut, PreviewIn, PreviewOut, StyleOut
from backend.datasets.uploads import FileUnreadable
from backend.settings import Settings


def look(path: Path, body: PreviewIn, settings: Settings) -> PreviewOut:
    """How the file would be read, from its first rows, which a process of its own reads.

    Raises FileUnreadable when it cannot be read at all.
    """
    try:
        found = apart.look(path, **body.model_dump(mode="json"), max_row_bytes=settings.max_line_bytes)
    except FileRefused as refused:
        raise FileUnreadable(refused.reason, field="file", remedy=refused.remedy) from None
    return PreviewOut(**found, formats=catalogue())


def catalogue() -> list[FormatOut]:
    """Every format with what it holds."""
    return [
        FormatOut(
            name=form.NAME,
            title=form.TITLE,
            kinds=[kind for kind in Kind if kind.value in form.KINDS],
            decided=form.DECIDED,
            styles=[StyleOut(name=style, losses=stated(holds)) for style, holds in form.STYLES.items()],
            notes=list(form.NOTES),
            example=form.EXAMPLE,
        )
        for form in formats.FORMATS.values()
    ]
