"""HelpSteer and HelpSteer2: one response with five scores from 0 to 4."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from alignment.formats.canonical import BadRow, Item, Message, text
from alignment.formats.facts import columns, read_facts
from alignment.formats.losses import FACT_COLUMNS
from alignment.formats.messages import prompt, response

NAME: Final = "helpsteer"
TITLE: Final = "HelpSteer and HelpSteer2"
ASPECTS: Final = ("helpfulness", "correctness", "coherence", "complexity", "verbosity")
KINDS: Final = frozenset({"demonstrations"})
HOLDS: Final = frozenset({"turns", "edges"}) | FACT_COLUMNS
STYLES: Final = {"": HOLDS}
DECIDED: Final = True
NOTES: Final = ("Only answers that have exactly these five scores are written: " + ", ".join(ASPECTS) + ".",)
EXAMPLE: Final = (
    '{"prompt":"Name a color.","response":"Red.","helpfulness":4,"correctness":4,"coherence":4,"complexity":1,'
    '"verbosity":0}'
)
_COLUMNS: Final = frozenset({"prompt", "response", "aspects", *ASPECTS})
_MARK: Final = "<extra_id_1>"
_TURN: Final = re.compile(r"\n<extra_id_1>(User|Assistant)\n")
_ROLE: Final = {"User": "user", "Assistant": "assistant"}


def claims(row: Mapping[str, Any]) -> bool:
    """Whether a row looks like this format."""
    return "prompt" in row and "response" in row and all(name in row for name in ASPECTS)


def describe(row: Mapping[str, Any]) -> str:
    """What a person should read about this row's format."""
    del row
    return f"{TITLE}, scores of one answer"


def parse(row: Mapping[str, Any]) -> Item:
    """The item of one row: an answer with its aspects."""
    scores = {name: row.get(name) for name in ASPECTS}
    for name, value in scores.items():
        if value is None:
            raise BadRow(name, f"The score {name!r} is missing.")
    facts = read_facts({name: value for name, value in row.items() if name not in _COLUMNS} | {"aspects": [scores]})
    return Item(asked(row.get("prompt")), [response(row.get("response"), "response")], (), facts)


def asked(value: Any) -> list[Message]:
    """The prompt of a text in which marks part the turns."""
    first, *turns = _TURN.split(text(value, "prompt"))
    said = [{"role": "user", "content": first}]
    said += [{"role": _ROLE[who], "content": what} for who, what in zip(turns[::2], turns[1::2], strict=True)]
    return prompt(said)


def marked(turns: Sequence[Message]) -> str:
    """The prompt as one text.  Raises BadRow when that text would be read otherwise."""
    names = {role: name for name, role in _ROLE.items()}
    if turns[0]["role"] != "user" or any(turn["role"] not in names or _MARK in turn["content"] for turn in turns):
        raise BadRow("prompt", f"The prompt begins with another turn than the user's, or a turn holds {_MARK}.")
    first, *others = turns
    return first["content"] + "".join(f"\n{_MARK}{names[turn['role']]}\n{turn['content']}" for turn in others)


def render(item: Item, style: str = "") -> dict[str, Any]:
    """The row of an answer that has the five scores."""
    del style
    scores = item.facts.get("aspects", [{}])[0]
    if scores.keys() != set(ASPECTS):
        raise BadRow("aspects", f"The answer has not just the scores {', '.join(ASPECTS)}.")
    row: dict[str, Any] = {"prompt": marked(item.prompt), "response": item.responses[0]["content"]}
    row |= {name: whole(scores[name]) for name in ASPECTS}
    extra = columns(item.facts, _COLUMNS)
    extra.pop("aspects", None)
    return row | extra


def whole(number: float) -> int | float:
    """The number without its ".0"."""
    return int(number) if number == int(number) else number
