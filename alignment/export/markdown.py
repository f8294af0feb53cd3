"""Text of people in Markdown and YAML: shown as it was written, never read as markup."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

LONGEST = 200
LONGEST_CARD = 1 << 20
FRONT_MATTER = re.compile(r"\A---\s*\n(.*?)\n---\s*\n", re.DOTALL)
PUNCTUATION = re.compile(r"([!\"#$%&()*+/:;<=>?@\[\\\]^_`{|}~])")
BREAKS = re.compile(r"[\s\x00-\x1f\x7f-\x9f\u2028\u2029\u200b-\u200f\u202a-\u202e\u2066-\u2069]+")


def plain(text: object) -> str:
    """One line of at most 200 characters that Markdown shows letter by letter, wherever in a line it stands.

    Control characters and those that turn the direction of writing become spaces; a link or tag is none afterwards.
    """
    line = BREAKS.sub(" ", str(text)).strip()
    if len(line) > LONGEST:
        line = line[: LONGEST - 1] + "…"
    return re.sub(r"(?i)\bwww\.", r"www\\.", PUNCTUATION.sub(r"\\\1", line))


def front_matter(fields: Mapping[str, Any]) -> str:
    """The YAML block that begins a card; fields without a value are left out."""
    given = {name: value for name, value in fields.items() if value not in (None, [], "")}
    return "---\n" + yaml.safe_dump(given, sort_keys=False, allow_unicode=True) + "---\n"


def read_front_matter(card: Path) -> dict[str, Any]:
    """The fields that begin somebody's card; empty when it has none, or none that can be read."""
    try:
        with card.open("rb") as file:
            found = FRONT_MATTER.match(file.read(LONGEST_CARD).decode("utf-8", "replace"))
        fields = yaml.safe_load(found.group(1)) if found else None
    except (OSError, yaml.YAMLError, RecursionError):
        return {}
    return fields if isinstance(fields, dict) else {}


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of cells that are Markdown already."""
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}", *(f"| {' | '.join(row)} |" for row in rows)]
    return "\n".join(lines)


def code(language: str, text: str) -> str:
    """A block of code that nothing in it can end."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text}\n{fence}"
