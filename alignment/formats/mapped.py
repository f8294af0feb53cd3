"""Rows of any columns, by a mapping that says which column is what: for CSV, and for whatever no format knows."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import lru_cache
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from alignment.formats import cells
from alignment.formats.canonical import BadRow, Item, LabelFacts, Message, text
from alignment.formats.facts import RESERVED, read_facts
from alignment.formats.messages import prompt, refuse_equal, response

Delimiter = Literal[",", ";", "\t", "|"]
Encoding = Literal["utf-8", "utf-16", "windows-1252"]
Name = str | None


class Columns(BaseModel):
    """Which column is what.  A prompt alone, or with one response, chosen and rejected, or two responses."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    prompt: str = Field(description="What was asked: a text, or the JSON of a list of messages.")
    system: Name = Field(None, description="The system turn before it.")
    chosen: Name = Field(None, description="The better response.")
    rejected: Name = Field(None, description="The worse response.")
    response_a: Name = Field(None, description="The first of two responses.")
    response_b: Name = Field(None, description="The second of two responses.")
    response: Name = Field(None, description="The only response.")
    label: Name = Field(None, description="Of two responses which is better; of one whether it is wanted.")
    strength: Name = Field(None, description="From -3 to 3, positive when the first of two responses is better.")
    score_a: Name = Field(None, description="Score of the chosen or first response, or of the only one.")
    score_b: Name = Field(None, description="Score of the rejected or second response.")
    annotator: Name = Field(None, description="Who judged.")
    rationale: Name = Field(None, description="Why.")
    aspects: tuple[str, ...] = Field((), description="Columns of named scores of the only response.")
    values: dict[str, Literal["a", "b", "tie", "both_bad", "true", "false"]] = Field(
        {}, description="What a cell of the label means, where its word is none of the usual."
    )
    others: Literal["keep", "drop"] = Field("keep", description="What becomes of columns that are not named here.")
    delimiter: Delimiter | None = Field(None, description="Of CSV; null: as it is detected.")
    encoding: Encoding | None = Field(None, description="Of CSV; null: as it is detected.")

    @model_validator(mode="after")
    def _fits(self) -> Columns:
        shapes = [self.chosen or self.rejected, self.response_a or self.response_b, self.response]
        if sum(shape is not None for shape in shapes) > 1:
            raise ValueError("name chosen and rejected, or response_a and response_b, or response, or none of them")
        for one, other in ((self.chosen, self.rejected), (self.response_a, self.response_b)):
            if (one is None) is not (other is None):
                raise ValueError("two responses need a column each")
        named = self.named()
        if len(named) != len(set(named)):
            raise ValueError("one column is named twice")
        return self

    def named(self) -> list[str]:
        """The columns that have a meaning."""
        single = (getattr(self, field) for field in ROLES)
        return [name for name in (*single, *self.aspects) if name is not None]


ROLES: Final = tuple(
    name for name in Columns.model_fields if name not in ("aspects", "values", "others", "delimiter", "encoding")
)
_USUAL: Final[Mapping[str, tuple[str, ...]]] = {
    "prompt": ("prompt", "instruction", "question", "query", "user", "text"),
    "system": ("system", "system_prompt"),
    "chosen": ("chosen", "preferred", "accepted", "winner_response"),
    "rejected": ("rejected", "dispreferred", "non_preferred", "loser_response"),
    "response_a": ("response_a", "response_1", "response1", "answer_a", "answer_1", "output_1", "completion_a"),
    "response_b": ("response_b", "response_2", "response2", "answer_b", "answer_2", "output_2", "completion_b"),
    "response": ("response", "completion", "answer", "output"),
    "label": ("label", "preference", "winner", "better", "preferred_response"),
    "strength": ("strength", "preference_strength"),
    "score_a": ("score_chosen", "score_a", "score_1", "score"),
    "score_b": ("score_rejected", "score_b", "score_2"),
    "annotator": ("annotator", "rater", "worker"),
    "rationale": ("rationale", "reason", "explanation"),
}


def guess(names: Collection[str]) -> Columns | None:
    """The mapping that usual names suggest, or None when no prompt is among them."""
    plain = {name.strip().lower().replace(" ", "_").replace("-", "_"): name for name in reversed(list(names))}
    found = {role: plain[usual[0]] for role, words in _USUAL.items() if (usual := [w for w in words if w in plain])}
    if "prompt" not in found:
        return None
    for one, other in (("chosen", "rejected"), ("response_a", "response_b")):
        if not (one in found and other in found):
            found.pop(one, None)
            found.pop(other, None)
    drop: tuple[str, ...]
    if "chosen" in found:
        drop = ("response_a", "response_b", "response", "label", "strength")
    elif "response_a" in found:
        drop = ("response",)
    elif "response" in found:
        drop = ("strength", "score_b")
    else:
        drop = ("label", "strength", "score_a", "score_b", "annotator", "rationale")
    return Columns(**{role: name for role, name in found.items() if role not in drop})


class Mapped:
    """Rows read by one mapping, as a format."""

    NAME: Final = "mapped"
    TITLE: Final = "Columns by a mapping (CSV and others)"
    KINDS: Final = frozenset({"prompts", "demonstrations", "unpaired", "paired"})
    STYLES: Final = {"comma": cells.HELD, "tab": cells.HELD}
    DECIDED: Final = True
    NOTES: Final = (
        "Text that a spreadsheet would take for a formula (it begins with =, +, -, @, a tab or a carriage return) gets "
        "an apostrophe before it, which comes off when the file is read here.",
        "An empty cell and none are the same.",
    )
    EXAMPLE: Final = "prompt,chosen,rejected\nName a color.,Red.,Seven."

    def __init__(self, columns: Columns | None = None) -> None:
        self.columns = columns
        self._named = frozenset(columns.named()) if columns is not None else frozenset[str]()

    def claims(self, row: Mapping[str, Any]) -> bool:
        """Whether the row has the columns of the mapping; without one, whether its names suggest one."""
        return self._of(row) is not None

    def describe(self, row: Mapping[str, Any]) -> str:
        """What a person should read about this row's format."""
        columns = self._of(row)
        if columns is None:
            return self.TITLE
        pairs = {"chosen": "chosen and rejected", "response_a": "two responses", "response": "one response"}
        shape = next((words for role, words in pairs.items() if getattr(columns, role)), "prompts")
        return f"Columns by a mapping: {shape}"

    def _of(self, row: Mapping[str, Any]) -> Columns | None:
        return self.columns if self.columns is not None else _guessed(tuple(row)).columns

    def parse(self, row: Mapping[str, Any]) -> Item:
        """The item of one row."""
        columns, named = self.columns, self._named
        if columns is None:
            guessed = _guessed(tuple(row))
            columns, named = guessed.columns, guessed._named
        if columns is None:
            raise BadRow("columns", "It is not said which column holds the prompt.")
        asked = _prompt(row, columns)
        facts = _facts(row, columns, named)
        if columns.response is not None:
            return _single(row, columns, asked, facts)
        sides = (columns.chosen, columns.rejected) if columns.chosen else (columns.response_a, columns.response_b)
        if sides[0] is None or sides[1] is None:
            return Item(asked, [], (), facts)
        answers = [response(cells.opened(_cell(row, name)), name) for name in sides if name is not None]
        refuse_equal(answers[0], answers[1], sides[1])
        scores = [cells.number(row.get(name), name) for name in (columns.score_a, columns.score_b) if name is not None]
        if len(scores) == 2 and None not in scores:
            facts["scores"] = scores
        return Item(asked, answers, _labels(row, columns, facts), facts)

    def render(self, item: Item, style: str = "comma") -> dict[str, Any]:
        """The cells of a decided pair (chosen first), of an answer or of a prompt."""
        del style
        return cells.rendered(item)


@lru_cache(maxsize=256)
def _guessed(names: tuple[str, ...]) -> Mapped:
    """The rows of these columns by the mapping that their names suggest."""
    return Mapped(guess(names))


FORMAT: Final = Mapped()


def _cell(row: Mapping[str, Any], name: str) -> Any:
    if name not in row:
        raise BadRow(name, f"The column {name!r} is missing.")
    return row[name]


def _given(row: Mapping[str, Any], name: Name) -> Any:
    """The cell, or None when there is no such column or nothing in it."""
    value = None if name is None else row.get(name)
    return None if isinstance(value, str) and not value.strip() else value


def _prompt(row: Mapping[str, Any], columns: Columns) -> list[Message]:
    asked = prompt(cells.opened(_cell(row, columns.prompt)), columns.prompt)
    if (said := _given(row, columns.system)) is not None and asked[0]["role"] != "system":
        asked.insert(0, {"role": "system", "content": text(said, columns.system or "system")})
    return asked


def _facts(row: Mapping[str, Any], columns: Columns, named: frozenset[str]) -> dict[str, Any]:
    rest = {name: value for name, value in row.items() if name not in named and value not in (None, "")}
    facts = cells.scalars(rest)
    if columns.others == "drop":
        facts.pop(RESERVED, None)
    if columns.aspects:
        facts |= read_facts({"aspects": [{name: cells.number(row.get(name), name) or 0.0 for name in columns.aspects}]})
    return facts


def _single(row: Mapping[str, Any], columns: Columns, asked: list[Message], facts: dict[str, Any]) -> Item:
    name = columns.response or "response"
    answer = response(cells.opened(_cell(row, name)), name)
    if (score := cells.number(row.get(columns.score_a or ""), columns.score_a or "score")) is not None:
        facts["scores"] = [score]
    if columns.label is not None:
        facts["desirable"] = cells.thumb(_given(row, columns.label), columns.label, columns.values)
    return Item(asked, [answer], (), facts)


def _labels(row: Mapping[str, Any], columns: Columns, facts: Mapping[str, Any]) -> tuple[LabelFacts, ...]:
    value: dict[str, Any] | None = None
    if columns.chosen is not None:
        value = {"strength": 1}
    elif (given := _given(row, columns.strength)) is not None:
        value = {"strength": cells.strength(given, columns.strength or "strength")}
    elif (given := _given(row, columns.label)) is not None:
        value = cells.preference(given, columns.label or "label", columns.values)
    elif columns.label is None and columns.strength is None and "scores" in facts:
        first, second = facts["scores"]
        value = {"strength": (first > second) - (first < second)}
    if value is None:
        return ()
    who, why = _given(row, columns.annotator), _given(row, columns.rationale)
    return (
        LabelFacts(
            value,
            annotator=None if who is None else str(who),
            rationale=None if why is None else text(why, columns.rationale or "rationale"),
        ),
    )
