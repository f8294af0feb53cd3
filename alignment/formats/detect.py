"""Which format a file's rows have, told by their content and never by the file's name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, Protocol, cast

from alignment.formats import hh, native, pairs, trl
from alignment.formats.canonical import FileRefused, Item, excerpt


class Format(Protocol):
    """What each format's module offers."""

    NAME: str
    TITLE: str
    LOSSES: tuple[str, ...]

    def claims(self, row: Mapping[str, Any]) -> bool: ...
    def describe(self, row: Mapping[str, Any]) -> str: ...
    def parse(self, row: Mapping[str, Any]) -> Item: ...
    def render(self, item: Item) -> dict[str, Any]: ...


FORMATS: Final[Mapping[str, Format]] = {module.NAME: cast(Format, module) for module in (native, pairs, hh, trl)}
"""Every row format by name, the most particular first."""


class UnknownFormat(FileRefused):
    """No format knows these columns."""


def detect(rows: Iterable[Mapping[str, Any]]) -> Format:
    """The format that claims most of the given rows.  Raises UnknownFormat naming the columns that were found."""
    sample = list(rows)
    if not sample:
        raise UnknownFormat("None of the first rows can be read.", "Look at their errors, or say which format it is.")
    votes = dict.fromkeys(FORMATS, 0)
    for row in sample:
        for name, form in FORMATS.items():
            if form.claims(row):
                votes[name] += 1
                break
    best = max(votes, key=lambda name: votes[name])
    if not votes[best]:
        columns = sorted({excerpt(name, 40) for row in sample for name in row})
        raise UnknownFormat(
            f"No known format has these columns: {excerpt(', '.join(columns), 300) or '(none)'}.",
            "A pair needs chosen and rejected (prompt optional), or prompt, response_a and response_b, "
            "or prompt and responses.",
        )
    return FORMATS[best]


def named(name: str) -> Format:
    """The format of that name.  Raises UnknownFormat."""
    form = FORMATS.get(name)
    if form is None:
        raise UnknownFormat(f"There is no format {excerpt(name, 40)!r}.", f"Choose one of {', '.join(FORMATS)}.")
    return form
