"""Our own lossless rows: `{id, split, prompt, responses, labels, facts}`, one item each, with every current label."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, cast

from alignment.formats.canonical import (
    ORIGINS,
    BadRow,
    Item,
    LabelFacts,
    LabelOrigin,
    excerpt,
    kind_of,
    text,
)
from alignment.formats.facts import check_scores, moment, not_negative, number, read_facts
from alignment.formats.losses import EVERYTHING
from alignment.formats.messages import prompt, refuse_equal, response, written

NAME: Final = "native"
TITLE: Final = "Plumbline rows"
NOTES: Final = ("Times and overruled earlier labels of the same annotator are left out.",)
KINDS: Final = frozenset({"prompts", "demonstrations", "unpaired", "paired", "ranked"})
STYLES: Final = {"": EVERYTHING}
DECIDED: Final = False
EXAMPLE: Final = (
    '{"prompt":[{"role":"user","content":"Name a color."}],"responses":[{"role":"assistant","content":"Red."},'
    '{"role":"assistant","content":"Seven."}],"labels":[{"value":{"strength":2},"source":"person"}]}'
)
_KEYS: Final = frozenset({"id", "split", "prompt", "responses", "labels", "facts"})
_LABEL_KEYS: Final = frozenset(
    {"value", "source", "annotator", "rationale", "seconds", "created_at", "surplus", "aspects"}
)
_STRENGTHS: Final = frozenset(range(-3, 4))


def claims(row: Mapping[str, Any]) -> bool:
    """Whether a row looks like this format."""
    return "prompt" in row and isinstance(row.get("responses"), list)


def describe(row: Mapping[str, Any]) -> str:
    """What a person should read about this row's format."""
    return TITLE if row.get("labels") else f"{TITLE} (without labels)"


def parse(row: Mapping[str, Any]) -> Item:
    """The item of one row, with its labels as they were."""
    for key in row:
        if key not in _KEYS:
            raise BadRow(excerpt(key, 40), f"A row has no such key; its keys are {', '.join(sorted(_KEYS))}.")
    asked = prompt(row.get("prompt"))
    answers = row.get("responses", [])
    if not isinstance(answers, list):
        raise BadRow("responses", f"A list of responses is expected here, not {kind_of(answers)}.")
    responses = [response(answer, f"responses[{index}]") for index, answer in enumerate(answers)]
    if len(responses) == 2:
        refuse_equal(responses[0], responses[1], "responses[1]")
    facts = row.get("facts") or {}
    if not isinstance(facts, dict):
        raise BadRow("facts", f"An object is expected here, not {kind_of(facts)}.")
    known = read_facts(facts, "facts.")
    check_scores(known, len(responses))
    name = row.get("id")
    return Item(
        asked,
        responses,
        _labels(row.get("labels"), len(responses)),
        known,
        id=None if name is None else text(name, "id"),
    )


def _labels(value: Any, responses: int) -> tuple[LabelFacts, ...]:
    if not value:
        return ()
    if not isinstance(value, list):
        raise BadRow("labels", f"A list of labels is expected here, not {kind_of(value)}.")
    return tuple(_label(label, f"labels[{index}]", responses) for index, label in enumerate(value))


def _label(value: Any, field: str, responses: int) -> LabelFacts:
    if not isinstance(value, dict):
        raise BadRow(field, f"A label {{value, source}} is expected here, not {kind_of(value)}.")
    for name in value:
        if name not in _LABEL_KEYS:
            raise BadRow(f"{field}.{excerpt(name, 40)}", f"A label has only the keys {', '.join(sorted(_LABEL_KEYS))}.")
    source = value.get("source", "import")
    if source not in ORIGINS:
        raise BadRow(f"{field}.source", f"The source must be one of {', '.join(sorted(ORIGINS))}.")
    annotator, rationale, seconds = value.get("annotator"), value.get("rationale"), value.get("seconds")
    if not isinstance(surplus := value.get("surplus", False), bool):
        raise BadRow(f"{field}.surplus", f"True or false is expected here, not {kind_of(surplus)}.")
    return LabelFacts(
        judgement(value.get("value"), f"{field}.value", responses),
        cast(LabelOrigin, source),
        None if annotator is None else text(annotator, f"{field}.annotator"),
        None if rationale is None else text(rationale, f"{field}.rationale"),
        None if seconds is None else not_negative(seconds, f"{field}.seconds"),
        moment(value.get("created_at"), f"{field}.created_at"),
        surplus,
        rated(value.get("aspects"), f"{field}.aspects", responses),
    )


def judgement(value: Any, field: str, responses: int) -> dict[str, Any]:
    """A label's value, checked against how many responses it judges.

    Of two: a strength from -3 to 3, or both bad; of two and more: a ranking; of one: a thumb; of any: a skip with its
    reason.
    """
    match value:
        case {"strength": int() as strength, **rest} if not rest and type(strength) is int and strength in _STRENGTHS:
            if responses == 2:
                return {"strength": strength}
        case {"both_bad": True, **rest} if not rest and responses > 1:
            return {"both_bad": True}
        case {"ranking": list() as groups, **rest} if not rest and responses > 1:
            return {"ranking": _ranking(groups, field, responses)}
        case {"thumb": bool() as thumb, **rest} if not rest and responses == 1:
            return {"thumb": thumb}
        case {"skip": str() as reason, **rest} if not rest and responses:
            return {"skip": text(reason, field)}
    if not responses:
        raise BadRow(field, "A label judges responses, and there is none here.")
    raise BadRow(field, f'The value must be {_VALUES[min(responses, 3)]} or {{"skip": "reason"}}.')


_VALUES: Final = {
    1: '{"thumb": true or false}',
    2: '{"strength": -3 to 3}, {"both_bad": true}, {"ranking": [[0], [1]]}',
    3: '{"ranking": [[1], [0, 2]]}, {"both_bad": true}',
}


def _ranking(groups: list[Any], field: str, responses: int) -> list[list[int]]:
    """Groups of places, best first, in which each response stands once."""
    if not all(isinstance(group, list) and group for group in groups):
        raise BadRow(field, "A ranking is a list of groups of responses, best first, like [[1], [0, 2]].")
    places = [place for group in groups for place in group]
    if any(type(place) is not int for place in places) or sorted(places) != list(range(responses)):
        raise BadRow(field, f"A ranking names each response from 0 to {responses - 1} once.")
    return groups


def rated(value: Any, field: str, responses: int) -> dict[str, list[float]] | None:
    """Ratings by aspect, one number for each response."""
    if value is None:
        return None
    if not isinstance(value, dict):
        raise BadRow(field, f"An object {{aspect: [number per response]}} is expected here, not {kind_of(value)}.")
    found = {}
    for name, numbers in value.items():
        if not isinstance(numbers, list) or len(numbers) != responses:
            raise BadRow(
                f"{field}.{excerpt(name, 40)}", f"A number for each of {responses} responses is expected here."
            )
        found[text(name, field)] = [number(one, f"{field}.{excerpt(name, 40)}") for one in numbers]
    return found


def render(item: Item, style: str = "") -> dict[str, Any]:
    """The row of an item, whatever its labels."""
    del style
    row: dict[str, Any] = {} if item.id is None else {"id": item.id}
    row |= {"prompt": [written(turn) for turn in item.prompt], "responses": [written(one) for one in item.responses]}
    if item.labels:
        row["labels"] = [_label_row(label) for label in item.labels]
    if item.facts:
        row["facts"] = item.facts
    return row


def _label_row(label: LabelFacts) -> dict[str, Any]:
    row: dict[str, Any] = {"value": dict(label.value), "source": label.source}
    for name in ("annotator", "rationale", "seconds", "created_at", "aspects"):
        if (value := getattr(label, name)) is not None:
            row[name] = value
    return row | {"surplus": True} if label.surplus else row
