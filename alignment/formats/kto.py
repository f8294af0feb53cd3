"""LLaMA-Factory's rows for KTO: a conversation, or an alpaca row, with a thumb in `kto_tag` (or `label`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from alignment.formats import alpaca, sharegpt
from alignment.formats.canonical import BadRow, Item, kind_of
from alignment.formats.facts import check_scores, columns, read_facts
from alignment.formats.messages import message, prompt, response, written

NAME: Final = "kto"
TITLE: Final = "KTO (LLaMA-Factory)"
KINDS: Final = frozenset({"unpaired"})
STYLES: Final = {
    "sharegpt": sharegpt.HOLDS,
    "messages": alpaca.HOLDS,
    "alpaca": alpaca.HOLDS,
}
DECIDED: Final = True
NOTES: Final = ()
EXAMPLE: Final = (
    '{"conversations":[{"from":"human","value":"Name a color."},{"from":"gpt","value":"Red."}],"kto_tag":true}'
)
_COLUMNS: Final = frozenset({"messages", "kto_tag", "label", "conversations", "instruction"})


def claims(row: Mapping[str, Any]) -> bool:
    """Whether a row looks like this format."""
    tagged = "kto_tag" in row and ("conversations" in row or "instruction" in row or "messages" in row)
    return tagged or ("messages" in row and isinstance(row.get("label"), bool))


def describe(row: Mapping[str, Any]) -> str:
    """What a person should read about this row's format."""
    shape = "alpaca" if "instruction" in row else "ShareGPT" if "conversations" in row else "messages"
    return f"{TITLE}, {shape}"


def parse(row: Mapping[str, Any]) -> Item:
    """The item of one row: one answer with a thumb."""
    if "instruction" in row:
        field, asked, facts = "output", alpaca.question(row), alpaca.beside(row)
        answer = response(row.get("output"), field)
        tag = row.get("kto_tag")
    else:
        field = "conversations" if "conversations" in row else "messages"
        if field == "messages":
            turns = _messages(row.get(field))
            facts = read_facts({name: value for name, value in row.items() if name not in _COLUMNS})
        else:
            turns, facts = sharegpt.turns(row), sharegpt.rest(row)
        tag = row.get("kto_tag", row.get("label"))
        asked, answer = prompt(turns[:-1], field), response(turns[-1:], field)
    if not isinstance(tag, bool):
        raise BadRow("kto_tag", f"True or false is expected here, not {kind_of(tag)}.")
    check_scores(facts, 1)
    return Item(asked, [answer], (), facts | {"desirable": tag})


def _messages(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise BadRow("messages", f"A list of messages is expected here, not {kind_of(value)}.")
    return [message(turn, f"messages[{index}]") for index, turn in enumerate(value)]


def render(item: Item, style: str = "sharegpt") -> dict[str, Any]:
    """The row of an answer with a thumb."""
    facts = {name: value for name, value in item.facts.items() if name != "desirable"}
    tag = item.facts["desirable"]
    if style == "messages":
        turns = [written(turn) for turn in (*item.prompt, *item.responses)]
        return {"messages": turns, "label": tag} | columns(facts, _COLUMNS)
    plain = Item(item.prompt, item.responses, (), facts)
    row = alpaca.render(plain) if style == "alpaca" else sharegpt.render(plain)
    return row | {"kto_tag": tag}
