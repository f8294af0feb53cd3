"""Two responses side by side, `{prompt, response_a, response_b}`, unlabelled or judged by one or several annotators."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from alignment.formats.canonical import BadRow, Item, LabelFacts, excerpt, kind_of, text
from alignment.formats.facts import check_scores, columns, read_facts
from alignment.formats.losses import CHAT, FACT_COLUMNS
from alignment.formats.messages import prompt, refuse_equal, response, written

NAME: Final = "pairs"
TITLE: Final = "Two responses side by side"
KINDS: Final = frozenset({"paired"})
STYLES: Final = {"": CHAT | FACT_COLUMNS | {"several", "annotators"}}
DECIDED: Final = False
NOTES: Final = ("A strength becomes a bare a, b or tie.",)
EXAMPLE: Final = '{"prompt":"Name a color.","response_a":"Red.","response_b":"Seven.","label":"a"}'
_COLUMNS: Final = frozenset({"prompt", "response_a", "response_b", "label", "annotations"})
_STRENGTH: Final = {"a": 1, "b": -1, "tie": 0}
_LABEL: Final = {1: "a", -1: "b", 0: "tie"}


def claims(row: Mapping[str, Any]) -> bool:
    """Whether a row looks like this format."""
    return "prompt" in row and "response_a" in row and "response_b" in row


def describe(row: Mapping[str, Any]) -> str:
    """What a person should read about this row's format."""
    if isinstance(row.get("annotations"), list):
        return f"{TITLE}, several annotators"
    return TITLE if row.get("label") is not None else f"{TITLE} (without labels)"


def parse(row: Mapping[str, Any]) -> Item:
    """The item of one row: responses are (a, b)."""
    asked = prompt(row.get("prompt"))
    first, second = (response(row.get(side), side) for side in ("response_a", "response_b"))
    refuse_equal(first, second, "response_b")
    facts = read_facts({name: value for name, value in row.items() if name not in _COLUMNS})
    check_scores(facts, 2)
    return Item(asked, [first, second], _labels(row), facts)


def _labels(row: Mapping[str, Any]) -> tuple[LabelFacts, ...]:
    annotations = row.get("annotations")
    if annotations is None:
        return () if row.get("label") is None else (_label(row["label"], None, "label"),)
    if not isinstance(annotations, list):
        raise BadRow("annotations", f"A list is expected here, not {kind_of(annotations)}.")
    labels = []
    for index, given in enumerate(annotations):
        field = f"annotations[{index}]"
        match given:
            case {"annotator": str() as annotator, "label": label} | [str() as annotator, label]:
                labels.append(_label(label, text(annotator, field) or None, field))
            case _:
                raise BadRow(field, "An annotation is {annotator, label} or [annotator, label].")
    return tuple(labels)


def _label(value: Any, annotator: str | None, field: str) -> LabelFacts:
    if not isinstance(value, str) or value.lower() not in _STRENGTH:
        raise BadRow(field, f"The label must be a, b or tie, not {excerpt(value, 40)}.")
    return LabelFacts({"strength": _STRENGTH[value.lower()]}, annotator=annotator)


def render(item: Item, style: str = "") -> dict[str, Any]:
    """The row of a pair, whatever its labels."""
    del style
    row = columns(item.facts, _COLUMNS)
    first, second = ([written(one)] for one in item.responses)
    row |= {"prompt": [written(turn) for turn in item.prompt], "response_a": first, "response_b": second}
    judged = [(label.annotator or "", _direction(label)) for label in item.labels]
    if len(judged) == 1 and not judged[0][0]:
        row["label"] = judged[0][1]
    elif judged:
        row["annotations"] = [{"annotator": annotator, "label": label} for annotator, label in judged]
    return row


def _direction(label: LabelFacts) -> str:
    strength = label.value["strength"]
    return _LABEL[(strength > 0) - (strength < 0)]
