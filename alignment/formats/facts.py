"""The facts an item may carry besides its labels: one closed vocabulary, so that a snapshot's columns have types."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from alignment.formats.canonical import BadRow, excerpt, kind_of, storable, text


def number(value: Any, field: str) -> float:
    """The value as a finite number, or BadRow."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise BadRow(field, f"A number is expected here, not {kind_of(value)}.")
    try:
        found = float(value)
    except OverflowError:
        raise BadRow(field, "The number is too large.") from None
    if not math.isfinite(found):
        raise BadRow(field, "NaN and infinity are not allowed here.")
    return found


def _probability(value: Any, field: str) -> float:
    given = number(value, field)
    if not 0 <= given <= 1:
        raise BadRow(field, f"A probability from 0 to 1 is expected here, not {given:g}.")
    return given


def not_negative(value: Any, field: str) -> float:
    """The value as a number of 0 or more, or BadRow."""
    given = number(value, field)
    if given < 0:
        raise BadRow(field, f"A number of 0 or more is expected here, not {given:g}.")
    return given


def moment(value: Any, field: str) -> str | None:
    """A time as ISO 8601 in UTC, or None when there is none; a time without zone is taken for UTC."""
    if value is None or value == "":
        return None
    try:
        found = datetime.fromisoformat(text(value, field).strip())
        known = found.replace(tzinfo=UTC) if found.tzinfo is None else found
        return known.astimezone(UTC).isoformat()
    except (ValueError, OverflowError):
        raise BadRow(field, f"A time like 2024-05-01T12:00:00Z is expected here, not {excerpt(value, 40)}.") from None


def _count(value: Any, field: str) -> int:
    given = number(value, field)
    if given < 0 or given != int(given):
        raise BadRow(field, f"A whole number is expected here, not {given:g}.")
    return int(given)


def _numbers(value: Any, field: str) -> list[float]:
    if not isinstance(value, list):
        raise BadRow(field, f"A list of numbers is expected here, not {kind_of(value)}.")
    return [number(one, f"{field}[{index}]") for index, one in enumerate(value)]


def _truth(value: Any, field: str) -> bool:
    if not isinstance(value, bool):
        raise BadRow(field, f"True or false is expected here, not {kind_of(value)}.")
    return value


def _aspects(value: Any, field: str) -> list[dict[str, float]]:
    if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
        raise BadRow(field, "A list of objects {aspect: number}, one per response, is expected here.")
    return [
        {text(name, field): number(said, f"{field}[{index}].{name}") for name, said in one.items()}
        for index, one in enumerate(value)
    ]


FACTS: Final[Mapping[str, Callable[[Any, str], Any]]] = {
    "weight": not_negative,  # how much the example counts in the loss
    "soft_label": _probability,  # probability that chosen wins
    "margin": number,  # how much better chosen is, in label strengths or reward units
    "votes": _count,  # people behind the choice
    "win_probability": _probability,
    "scores": _numbers,  # one per response, in the order of `responses`; more is better
    "ranks": _numbers,  # one per response, 1 the best; ties allowed
    "aspects": _aspects,  # one object of named scores per response
    "desirable": _truth,  # whether a lone response is wanted
    "category": text,
    "reference_answer": text,
    "rationale": text,  # why the better response of a pair is better
    "empty_chosen": text,  # the better and the worse of two answers given without a trace of reasoning
    "empty_rejected": text,
    "annotator": text,
}
"""Reader of every known fact.  Anything else a file holds is kept under `meta` and stays out of snapshots."""

RESERVED: Final = "meta"


def read_facts(columns: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Known facts checked and typed; other columns under `meta`; nulls dropped."""
    found: dict[str, Any] = {}
    meta: dict[str, Any] = {}
    for name, value in columns.items():
        if value is None:
            continue
        reader = FACTS.get(name)
        if reader is not None:
            found[name] = reader(value, f"{prefix}{name}")
        elif name == RESERVED and isinstance(value, dict):
            meta.update(storable(value, f"{prefix}{name}"))
        else:
            meta[text(name, "column name")] = storable(value, f"{prefix}{name}")
    if meta:
        found[RESERVED] = meta
    return found


PER_RESPONSE: Final = ("scores", "ranks", "aspects")


def check_scores(facts: Mapping[str, Any], responses: int) -> None:
    """Raise BadRow unless every fact that follows the responses has one value for each."""
    for name in PER_RESPONSE:
        if (given := facts.get(name)) is not None and len(given) != responses:
            raise BadRow(name, f"There are {len(given)} {name} for {responses} responses.")


def columns(facts: Mapping[str, Any], reserved: Collection[str]) -> dict[str, Any]:
    """Facts as columns beside those that a format names itself; what other columns would hide goes under `meta`."""
    found = {name: value for name, value in facts.items() if name != RESERVED}
    hidden: dict[str, Any] = {}
    for name, value in facts.get(RESERVED, {}).items():
        clashes = value is None or name in FACTS or name in reserved or name == RESERVED
        (hidden if clashes else found)[name] = value
    return found | {RESERVED: hidden} if hidden else found


def training_facts(facts: Mapping[str, Any]) -> dict[str, Any]:
    """The facts that enter a snapshot: all but `meta`."""
    return {name: value for name, value in facts.items() if name != RESERVED}
