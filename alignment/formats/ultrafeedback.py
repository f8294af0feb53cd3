"""UltraFeedback binarized: both whole conversations as messages, each with a score of its own."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, Final

from alignment.formats import trl
from alignment.formats.canonical import BadRow, Item
from alignment.formats.facts import RESERVED, columns
from alignment.formats.losses import CHAT, FACT_COLUMNS
from alignment.formats.messages import written

NAME: Final = "ultrafeedback"
TITLE: Final = "UltraFeedback binarized"
KINDS: Final = frozenset({"paired"})
STYLES: Final = {"": CHAT | FACT_COLUMNS}
DECIDED: Final = True
NOTES: Final = ("The column messages repeats the chosen side; it is written, and not read.",)
EXAMPLE: Final = (
    '{"prompt":"Name a color.","prompt_id":"a1","chosen":[{"role":"user","content":"Name a color."},'
    '{"role":"assistant","content":"Red."}],"rejected":[{"role":"user","content":"Name a color."},'
    '{"role":"assistant","content":"Seven."}],"messages":[{"role":"user","content":"Name a color."},'
    '{"role":"assistant","content":"Red."}],"score_chosen":8.5,"score_rejected":3.0}'
)
_COLUMNS: Final = frozenset(
    {"prompt", "prompt_id", "chosen", "rejected", "messages", "score_chosen", "score_rejected", "scores"}
)


def claims(row: Mapping[str, Any]) -> bool:
    """Whether a row looks like this format."""
    whole = all(isinstance(row.get(side), list) and len(row[side]) > 1 for side in ("chosen", "rejected"))
    return whole and "prompt" in row and ("prompt_id" in row or "score_chosen" in row)


def describe(row: Mapping[str, Any]) -> str:
    """What a person should read about this row's format."""
    return TITLE if row.get("score_chosen") is not None else f"{TITLE} (without scores)"


def parse(row: Mapping[str, Any]) -> Item:
    """The item of one row: the prompt is what both conversations begin with."""
    if not isinstance(row.get("chosen"), list) or not isinstance(row.get("rejected"), list):
        raise BadRow("chosen", "Chosen and rejected must both be lists of messages.")
    item = trl.parse({name: value for name, value in row.items() if name not in ("prompt", "prompt_id")})
    named = row.get("prompt_id")
    if isinstance(named, str) and named != _id(item):
        item.facts[RESERVED] = {"prompt_id": named} | item.facts.get(RESERVED, {})
    return item


def _id(item: Item) -> str:
    return hashlib.sha256(_asked(item).encode()).hexdigest()


def _asked(item: Item) -> str:
    """The first thing the user said, which this format shows as the prompt."""
    return next((turn["content"] for turn in item.prompt if turn["role"] == "user"), item.prompt[-1]["content"])


def render(item: Item, style: str = "") -> dict[str, Any]:
    """The row of a decided pair (chosen first)."""
    del style
    before = [written(turn, "reasoning_content") for turn in item.prompt]
    chosen, rejected = ([*before, written(one, "reasoning_content")] for one in item.responses)
    named = item.facts.get(RESERVED, {}).get("prompt_id")
    extra = columns(item.facts, _COLUMNS)
    extra.pop("scores", None)
    if isinstance(named, str):
        extra[RESERVED] = {name: value for name, value in extra[RESERVED].items() if name != "prompt_id"}
        if not extra[RESERVED]:
            del extra[RESERVED]
    row: dict[str, Any] = {"prompt": _asked(item), "prompt_id": named if isinstance(named, str) else _id(item)}
    row |= {"chosen": chosen, "rejected": rejected, "messages": chosen}
    if (scores := item.facts.get("scores")) is not None:
        row |= {"score_chosen": scores[0], "score_rejected": scores[1]}
    return row | extra
