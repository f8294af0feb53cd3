"""The facts an item may carry besides its labels: one closed vocabulary, so that a snapshot's columns have types."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Final

from alignment.formats.canonical import BadRow, kind_of, storable, text


def _number(value: Any, field: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise BadRow(field, f"A number is expected here, not {kind_of(value)}.")
    try:
        number = float(value)
    except OverflowError:
        raise BadRow(field, "The number is too large.") from None
    if not math.isfinite(number):
        raise BadRow(field, "NaN and infinity are not allowed here.")
    return number


def _probability(value: Any, field: str) -> float:
    number = _number(value, field)
    if not 0 <= number <= 1:
        raise BadRow(field, f"A probability from 0 to 1 is expected here, not {number:g}.")
    return number


def not_negative(value: Any, field: str) -> float:
    """The value as a number of 0 or more, or BadRow."""
    number = _number(value, field)
    if number < 0:
        raise BadRow(field, f"A number of 0 or more is expected here, not {number:g}.")
    return number


def _count(value: Any, field: str) -> int:
    number = _number(value, field)
    if number < 0 or number != int(number):
        raise BadRow(field, f"A whole number is expected here, not {number:g}.")
    return int(number)


def _numbers(value: Any, field: str) -> list[float]:
    if not isinstance(value, list):
        raise BadRow(field, f"A list of numbers is expected here, not {kind_of(value)}.")
    return [_number(number, f"{field}[{index}]") for index, number in enumerate(value)]


FACTS: Final[Mapping[str, Callable[[Any, str], Any]]] = {
    "weight": not_negative,  # how much the example counts in the loss
    "soft_label": _probability,  # probability that chosen wins
    "margin": _number,  # how much better chosen is, in label strengths or reward units
    "votes": _count,  # people behind the choice
    "win_probability": _probability,
    "scores": _numbers,  # one per response, in the order of `responses`
    "category": text,
    "reference_answer": text,
    "rationale": text,
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


def check_scores(facts: Mapping[str, Any], responses: int) -> None:
    """Raise BadRow unless `scores` has one number per response."""
    scores = facts.get("scores")
    if scores is not None and len(scores) != responses:
        raise BadRow("scores", f"There are {len(scores)} scores for {responses} responses.")


def training_facts(facts: Mapping[str, Any]) -> dict[str, Any]:
    """The facts that enter a snapshot: all but `meta`."""
    return {name: value for name, value in facts.items() if name != RESERVED}
