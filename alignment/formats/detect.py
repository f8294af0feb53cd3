"""Which format a file's rows have, told by their content and never by the file's name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Final, Protocol, cast

from alignment.formats import (
    alpaca,
    argilla,
    helpsteer,
    helpsteer2_preference,
    helpsteer3,
    hh,
    kto,
    label_studio,
    mapped,
    ms_swift,
    native,
    nectar,
    openai_preference,
    pairs,
    prompts,
    sharegpt,
    trl,
    trl_unpaired,
    ultrafeedback,
)
from alignment.formats.canonical import BadRow, FileRefused, Item, excerpt
from alignment.formats.surveyed import Surveyed


class Format(Protocol):
    """What each format's module offers."""

    @property
    def NAME(self) -> str: ...  # noqa: N802  (a constant of a module)
    @property
    def TITLE(self) -> str: ...  # noqa: N802
    @property
    def KINDS(self) -> Collection[str]: ...  # noqa: N802
    @property
    def STYLES(self) -> Mapping[str, frozenset[str]]: ...  # noqa: N802
    @property
    def DECIDED(self) -> bool: ...  # noqa: N802
    @property
    def NOTES(self) -> tuple[str, ...]: ...  # noqa: N802
    @property
    def EXAMPLE(self) -> str: ...  # noqa: N802

    def claims(self, row: Mapping[str, Any]) -> bool: ...
    def describe(self, row: Mapping[str, Any]) -> str: ...
    def parse(self, row: Mapping[str, Any]) -> Item: ...
    def render(self, item: Item, style: str = ...) -> dict[str, Any]: ...


_MODULES: Final = (
    native,
    argilla.FORMAT,
    label_studio.FORMAT,
    pairs,
    ultrafeedback,
    hh,
    openai_preference,
    helpsteer3,
    helpsteer2_preference,
    helpsteer,
    nectar,
    alpaca,
    sharegpt,
    kto,
    ms_swift,
    trl_unpaired,
    trl,
    prompts,
    mapped.FORMAT,
)
FORMATS: Final[Mapping[str, Format]] = {form.NAME: cast(Format, form) for form in _MODULES}
"""Every row format by name, the most particular first.

`KINDS` are the kinds of datasets that it can be written from; `STYLES` the ways of writing it, each with what it holds
(`losses.py`), the usual way first; `DECIDED` says whether a pair must be decided, and its better response first.
"""


class UnknownFormat(FileRefused):
    """No format knows these columns."""


class AmbiguousFormat(FileRefused):
    """Several formats know these columns and read them differently; `candidates` are their names."""

    def __init__(self, candidates: list[str]) -> None:
        titles = " or ".join(FORMATS[name].TITLE for name in candidates)
        super().__init__(f"The rows could be {titles}.", f"Say which: {', '.join(candidates)}.")
        self.candidates = candidates


def detect(rows: Iterable[Mapping[str, Any]]) -> Format:
    """The format that claims most of the given rows.

    Raises UnknownFormat naming the columns that were found, AmbiguousFormat when several formats claim as many rows
    and read them differently.
    """
    sample = list(rows)
    if not sample:
        raise UnknownFormat("None of the first rows can be read.", "Look at their errors, or say which format it is.")
    claimed = Counter(name for row in sample for name, form in _KNOWN.items() if form.claims(row))
    most = max(claimed.values(), default=0)
    if not most:
        return by_names(sample)
    best = [name for name in _KNOWN if claimed[name] == most]
    if isinstance(FORMATS[best[0]], Surveyed):  # its marks are nobody else's, and without a survey it reads nothing
        return FORMATS[best[0]]
    best = [name for name in best if not any((other, name) in _PARTICULAR for other in best)]
    readers = [name for name in best if _reads(FORMATS[name], sample)] or best[:1]
    if any(_differ(FORMATS[readers[0]], FORMATS[name], sample) for name in readers[1:]):
        raise AmbiguousFormat(readers)
    return FORMATS[readers[0]]


_PARTICULAR: Final = {(hh.NAME, trl.NAME), (ultrafeedback.NAME, trl.NAME)}
"""Formats whose rows are also rows of another, and mean more than that one would read."""
_KNOWN: Final = {name: form for name, form in FORMATS.items() if form is not mapped.FORMAT}


def by_names(sample: Sequence[Mapping[str, Any]]) -> Format:
    """The mapping that usual column names suggest.  Raises UnknownFormat."""
    names = sorted({name for row in sample for name in row})
    guessed = mapped.guess(names)
    if guessed is not None:
        return mapped.FORMAT
    said = excerpt(", ".join(excerpt(name, 40) for name in names), 300) or "(none)"
    raise UnknownFormat(
        f"No known format has these columns: {said}.",
        "Say which column is what, or choose a format.",
    )


def _reads(form: Format, sample: list[Mapping[str, Any]]) -> bool:
    return any(_read(form, row) is not None for row in sample)


def _differ(one: Format, other: Format, sample: list[Mapping[str, Any]]) -> bool:
    """Whether two formats make different items of a row that both can read."""
    for row in sample:
        first, second = _read(one, row), _read(other, row)
        if first is not None and second is not None and first != second:
            return True
    return False


def _read(form: Format, row: Mapping[str, Any]) -> Item | None:
    try:
        return form.parse(row)
    except BadRow:
        return None


def named(name: str) -> Format:
    """The format of that name.  Raises UnknownFormat."""
    form = FORMATS.get(name)
    if form is None:
        raise UnknownFormat(f"There is no format {excerpt(name, 40)!r}.", f"Choose one of {', '.join(FORMATS)}.")
    return form
