"""HelpSteer3: two responses, an overall preference from -3 (the first is much better) to 3, and those of annotators."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from alignment.formats.canonical import BadRow, Item, LabelFacts, kind_of, text
from alignment.formats.facts import RESERVED, check_scores, columns, read_facts
from alignment.formats.helpsteer import whole
from alignment.formats.helpsteer2_preference import strength
from alignment.formats.losses import FACT_COLUMNS, middle
from alignment.formats.messages import prompt, refuse_equal, response, written

NAME: Final = "helpsteer3"
TITLE: Final = "HelpSteer3 preference"
KINDS: Final = frozenset({"paired"})
STYLES: Final = {
    "": frozenset({"system", "turns", "edges", "strengths", "several", "label_rationales"}) | FACT_COLUMNS,
}
DECIDED: Final = False
NOTES: Final = ("Each annotator's score is a label; the overall preference is kept beside them where it differs.",)
EXAMPLE: Final = (
    '{"domain":"general","language":"english","context":[{"role":"user","content":"Name a color."}],'
    '"response1":"Red.","response2":"Seven.","overall_preference":-3,'
    '"individual_preference":[{"score":-3,"reasoning":"Seven is no color."}]}'
)
_COLUMNS: Final = frozenset({"context", "response1", "response2", "overall_preference", "individual_preference"})
_OVERALL: Final = "overall_preference"
_FEEDBACK: Final = "feedback"


def claims(row: Mapping[str, Any]) -> bool:
    """Whether a row looks like this format."""
    return all(name in row for name in ("context", "response1", "response2", _OVERALL))


def describe(row: Mapping[str, Any]) -> str:
    """What a person should read about this row's format."""
    return f"{TITLE}, several annotators" if row.get("individual_preference") else TITLE


def parse(row: Mapping[str, Any]) -> Item:
    """The item of one row: responses in their order, one label for each annotator."""
    asked = prompt(row.get("context"), "context")
    answers = [response(row.get(name), name) for name in ("response1", "response2")]
    refuse_equal(answers[0], answers[1], "response2")
    facts = read_facts({name: value for name, value in row.items() if name not in _COLUMNS})
    check_scores(facts, 2)
    overall = row.get(_OVERALL)
    total = None if overall is None else -strength(overall, _OVERALL)
    labels, feedback = _individual(row.get("individual_preference"))
    extra: dict[str, Any] = {_FEEDBACK: feedback} if any(feedback) else {}
    warnings: tuple[str, ...] = ()
    if labels and total is not None and total != middle(labels):
        extra[_OVERALL] = -total
        if (total > 0) != (middle(labels) > 0):
            warnings = ("The overall preference points elsewhere than the mean of its annotators, whose labels count.",)
    elif not labels and total is not None:
        labels = [LabelFacts({"strength": total})]
    if extra:
        facts[RESERVED] = facts.get(RESERVED, {}) | extra
    return Item(asked, answers, tuple(labels), facts, warnings=warnings)


def _individual(value: Any) -> tuple[list[LabelFacts], list[dict[str, Any]]]:
    """A label for each annotator, and what else each said."""
    if value is None:
        return [], []
    if not isinstance(value, list):
        raise BadRow("individual_preference", f"A list is expected here, not {kind_of(value)}.")
    labels, feedback = [], []
    for index, one in enumerate(value):
        field = f"individual_preference[{index}]"
        if not isinstance(one, dict):
            raise BadRow(field, f"An object {{score, reasoning}} is expected here, not {kind_of(one)}.")
        why = one.get("reasoning")
        reason = None if why is None else text(why, f"{field}.reasoning")
        labels.append(LabelFacts({"strength": -strength(one.get("score"), f"{field}.score")}, rationale=reason))
        others = {name: said for name, said in one.items() if name not in ("score", "reasoning") and said is not None}
        feedback.append(read_facts({RESERVED: others}).get(RESERVED, {}))
    return labels, feedback


def render(item: Item, style: str = "") -> dict[str, Any]:
    """The row of a pair with the strengths of its annotators."""
    del style
    meta = item.facts.get(RESERVED, {})
    said = meta.get(_FEEDBACK)
    if not isinstance(said, list) or len(said) != len(item.labels) or not all(isinstance(one, dict) for one in said):
        said = [{}] * len(item.labels)
        hidden: frozenset[str] = frozenset({_OVERALL})
    else:
        hidden = frozenset({_OVERALL, _FEEDBACK})
    first, second = (one["content"] for one in item.responses)
    row: dict[str, Any] = {"context": [written(turn) for turn in item.prompt], "response1": first, "response2": second}
    overall = meta.get(_OVERALL)
    row[_OVERALL] = overall if overall is not None else -middle(item.labels) if item.labels else None
    row["individual_preference"] = [
        {"score": -whole(label.value["strength"])}
        | ({} if label.rationale is None else {"reasoning": label.rationale})
        | more
        for label, more in zip(item.labels, said, strict=True)
    ]
    facts = item.facts
    if meta:
        kept = {name: value for name, value in meta.items() if name not in hidden}
        facts = {**facts, RESERVED: kept}
    return row | columns(facts, _COLUMNS)
