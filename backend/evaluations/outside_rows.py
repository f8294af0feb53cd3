"""Rows of other tools' files, one after the other and of each only what is read: a JSON list, or JSON lines."""

import json
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from backend.errors import Invalid

MOST_BYTES: Final = 64 << 20
MOST_LIST: Final = 32 << 20  # of one JSON list, whose text is held whole; JSON lines are read one by one
MOST_LINE: Final = 4 << 20
MOST_ROWS: Final = 20_000
NO_LIST: Final = "The file holds no list of results.", "Choose a JSON list or JSON lines of objects."
Row = Mapping[str, Any]


class ResultsRefused(Invalid):
    title = "Results cannot be read"


def refused(reason: str, remedy: str) -> ResultsRefused:
    return ResultsRefused(reason, field="upload_id", remedy=remedy)


def read_rows(path: Path, wanted: Collection[str]) -> list[Row]:
    """The wanted fields of every row; at least one row.  Raises ResultsRefused."""
    if path.stat().st_size > MOST_BYTES:
        raise refused(f"The file is larger than {MOST_BYTES >> 20} MiB.", "Split it into several evaluations.")
    rows: list[Row] = []
    for row in _rows(path):
        if not isinstance(row, dict):
            raise refused(*NO_LIST)
        rows.append({name: row[name] for name in wanted if name in row})
        if len(rows) > MOST_ROWS:
            raise refused(f"The file holds more than {MOST_ROWS:,} rows.", "Split it.")
    if not rows:
        raise refused(*NO_LIST)
    return rows


def _rows(path: Path) -> Iterator[Any]:
    """The rows one after the other, however the file holds them."""
    try:
        with path.open(encoding="utf-8-sig") as file:
            first = file.read(1)
            while first.isspace():
                first = file.read(1)
            if first == "[":
                yield from _listed(path)
                return
            file.seek(0)
            while line := file.readline(MOST_LINE):
                if len(line) == MOST_LINE:
                    raise refused(f"A line is longer than {MOST_LINE >> 20} MiB.", "Leave out what is not needed.")
                if line.strip("\ufeff \t\r\n"):
                    yield json.loads(line.lstrip("\ufeff"))
    except (ValueError, RecursionError) as error:
        raise refused("The file is no JSON.", "Choose a JSON list or JSON lines in UTF-8.") from error


def _listed(path: Path) -> Iterator[Any]:
    """The elements of one JSON list, decoded one by one, so that no more than the text and one of them is held."""
    if path.stat().st_size > MOST_LIST:
        raise refused(
            f"A JSON list of more than {MOST_LIST >> 20} MiB cannot be read.", "Save it as JSON lines, a row a line."
        )
    text, decoder = path.read_text(encoding="utf-8-sig").strip(), json.JSONDecoder()
    place = _skip(text, 1)
    while text[place] != "]":
        row, place = decoder.raw_decode(text, place)
        yield row
        place = _skip(text, place)
        if text[place] == ",":
            place = _skip(text, place + 1)
        elif text[place] != "]":
            raise ValueError("a list goes on with a comma")
    if place != len(text) - 1:
        raise ValueError("something follows the list")


def _skip(text: str, place: int) -> int:
    """The next place that is no space.  Raises ValueError at the end."""
    while place < len(text):
        if text[place] not in " \t\r\n":
            return place
        place += 1
    raise ValueError("the list does not end")
