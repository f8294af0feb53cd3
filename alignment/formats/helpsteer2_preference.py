"""HelpSteer2-Preference: two responses and a strength from -3 (the first is much better) to 3, with its reason."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from alignment.formats.canonical import BadRow, Item, LabelFacts, excerpt, text
from alignment.formats.facts import check_scores, columns, read_facts
from alignment.formats.helpsteer import HOLDS, asked, marked
from alignment.formats.messages import refuse_equal, response

NAME: Final = "helpsteer2_preference"
TITLE: Final = "HelpSteer2 preference"
KINDS: Final = frozenset({"paired"})
STYLES: Final = {"": HOLDS | {"strengths", "label_rationales"}}
DECIDED: Final = False
NOTES: Final = ("Several labels become their mean strength.",)
EXAMPLE: Final = (
    '{"prompt":"Name a color.","response_1":"Red.","response_2":"Seven.","preference_strength":-3,'
    '"preference_elaboration":"Seven is no color."}'
)
_COLUMNS: Final = frozenset({"prompt", "response_1", "response_2", "preference_strength", "preference_elaboration"})


def claims(row: Mapping[str, Any]) -> bool:
    """Whether a row looks like this format."""
    return all(name in row for name in ("prompt", "response_1", "response_2", "preference_strength"))


def describe(row: Mapping[str, Any]) -> str:
    """What a person should read about this row's format."""
    del row
    return TITLE


def parse(row: Mapping[str, Any]) -> Item:
    """The item of one row: responses in their order, and a label where there is a strength."""
    answers = [response(row.get(name), name) for name in ("response_1", "response_2")]
    refuse_equal(answers[0], answers[1], "response_2")
    facts = read_facts({name: value for name, value in row.items() if name not in _COLUMNS})
    check_scores(facts, 2)
    given = row.get("preference_strength")
    why = row.get("preference_elaboration")
    labels: tuple[LabelFacts, ...] = ()
    if given is not None:
        reason = None if why is None else text(why, "preference_elaboration")
        labels = (LabelFacts({"strength": -strength(given, "preference_strength")}, rationale=reason),)
    return Item(asked(row.get("prompt")), answers, labels, facts)


def strength(value: Any, field: str) -> int:
    """The whole number from -3 to 3, or BadRow."""
    if isinstance(value, bool) or not isinstance(value, int | float) or value not in range(-3, 4):
        raise BadRow(field, f"A whole number from -3 to 3 is expected here, not {excerpt(value, 40)}.")
    return int(value)


def render(item: Item, style: str = "") -> dict[str, Any]:
    """The row of a pair with at most one label."""
    del style
    first, second = (one["content"] for one in item.responses)
    row: dict[str, Any] = {"prompt": marked(item.prompt), "response_1": first, "response_2": second}
    row["preference_strength"] = -item.labels[0].value["strength"] if item.labels else None
    if item.labels and item.labels[0].rationale is not None:
        row["preference_elaboration"] = item.labels[0].rationale
    return row | columns(item.facts, _COLUMNS)
