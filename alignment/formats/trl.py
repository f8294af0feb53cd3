"""TRL preference rows: explicit, implicit and conversational; also a messages prompt with plain text answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from alignment.formats.canonical import (
    CHOSEN_FIRST,
    BadRow,
    Item,
    Message,
    text,
)
from alignment.formats.facts import check_scores, columns, read_facts
from alignment.formats.losses import CHAT, FACT_COLUMNS
from alignment.formats.messages import message, prompt, refuse_equal, response, written
from alignment.formats.transcript import shared_beginning

NAME: Final = "trl"
TITLE: Final = "TRL preference rows"
KINDS: Final = frozenset({"paired", "prompts"})
STYLES: Final = {
    "conversational": CHAT | FACT_COLUMNS,
    "implicit": CHAT | FACT_COLUMNS,
    "standard": frozenset({"edges"}) | FACT_COLUMNS,
}
DECIDED: Final = True
NOTES: Final = (
    "The single votes behind a choice are dropped; their number, share and mean strength stay as columns.",
    "Plain texts are written with an explicit prompt only: without one its end would have to be guessed.",
)
EXAMPLE: Final = '{"prompt":"The sky is","chosen":" blue.","rejected":" green."}'
_COLUMNS: Final = frozenset({"prompt", "chosen", "rejected", "score_chosen", "score_rejected", "messages"})
_ELSEWHERE: Final = frozenset({"instruction", "conversations", "input"})  # where other formats keep the prompt
_ANSWERS: Final = frozenset(
    {"completion", "completions", "response", "responses", "answers", "output", "chosen", "rejected"}
    | {f"response{end}" for end in ("_a", "_b", "_1", "_2", "1", "2")}
)


def claims(row: Mapping[str, Any]) -> bool:
    """Whether a row looks like this format: chosen and rejected, or a prompt alone."""
    if "chosen" in row and "rejected" in row:
        return "prompt" in row or _ELSEWHERE.isdisjoint(row)
    return "prompt" in row and not _answered(row)


def _answered(row: Mapping[str, Any]) -> bool:
    return not _ANSWERS.isdisjoint(row)


def describe(row: Mapping[str, Any]) -> str:
    """Which of TRL's shapes the row has."""
    if "chosen" not in row:
        return "TRL prompts without answers"
    if "prompt" not in row:
        return "TRL implicit (conversational)" if isinstance(row["chosen"], list) else "TRL implicit"
    if isinstance(row["chosen"], list):
        return "TRL conversational"
    return "TRL explicit" if isinstance(row["prompt"], str) else "TRL conversational prompt with text answers"


def parse(row: Mapping[str, Any]) -> Item:
    """The item of one row: responses are (chosen, rejected), or none for a prompt alone."""
    facts = read_facts({name: value for name, value in row.items() if name not in _COLUMNS})
    if row.get("chosen") is None and row.get("rejected") is None and "prompt" in row:
        return Item(prompt(row["prompt"]), [], (), facts)
    for side in ("chosen", "rejected"):
        if row.get(side) is None:
            raise BadRow(side, f"The column {side!r} is missing.")
    if row.get("prompt") is None:
        asked, chosen, rejected = _implicit(row["chosen"], row["rejected"])
    else:
        asked = prompt(row["prompt"])
        chosen = response(_without_prompt(row["chosen"], asked, "chosen"), "chosen")
        rejected = response(_without_prompt(row["rejected"], asked, "rejected"), "rejected")
    refuse_equal(chosen, rejected, "rejected")
    warnings = _scores(row, facts)
    check_scores(facts, 2)
    return Item(asked, [chosen, rejected], (CHOSEN_FIRST,), facts, warnings=warnings)


def _scores(row: Mapping[str, Any], facts: dict[str, Any]) -> tuple[str, ...]:
    """Both scores as one fact; a warning when they do not speak for the chosen side."""
    chosen, rejected = row.get("score_chosen"), row.get("score_rejected")
    if chosen is None or rejected is None:
        return ()
    scores = read_facts({"scores": [chosen, rejected]})["scores"]
    facts["scores"] = scores
    return () if scores[0] > scores[1] else ("The chosen response scores no higher than the rejected one.",)


def _without_prompt(side: Any, asked: list[Message], field: str) -> Any:
    """A side that repeats the whole conversation is cut down to its answer."""
    if not isinstance(side, list) or len(side) != len(asked) + 1:
        return side
    turns = [message(turn, f"{field}[{index}]") for index, turn in enumerate(side)]
    return turns[-1:] if turns[:-1] == asked else side


def _implicit(chosen: Any, rejected: Any) -> tuple[list[Message], Message, Message]:
    if isinstance(chosen, str) and isinstance(rejected, str):
        return _implicit_text(text(chosen, "chosen"), text(rejected, "rejected"))
    if not isinstance(chosen, list) or not isinstance(rejected, list):
        raise BadRow("rejected", "Chosen and rejected must both be texts or both be lists of messages.")
    sides = [
        [message(turn, f"{name}[{index}]") for index, turn in enumerate(side)]
        for name, side in (("chosen", chosen), ("rejected", rejected))
    ]
    shared = 0
    while shared < min(map(len, sides)) and sides[0][shared] == sides[1][shared]:
        shared += 1
    if not shared:
        raise BadRow("chosen", "Chosen and rejected share no first turns that could be the prompt.")
    if shared == len(sides[0]) == len(sides[1]):
        raise BadRow("rejected", "Both responses are the same, so there is nothing to prefer.")
    return (
        prompt(chosen[:shared], "chosen"),
        response(chosen[shared:], "chosen"),
        response(rejected[shared:], "rejected"),
    )


def _implicit_text(chosen: str, rejected: str) -> tuple[list[Message], Message, Message]:
    """The shared beginning, cut back to a whole word, is the prompt."""
    if chosen == rejected:
        raise BadRow("rejected", "Both responses are the same, so there is nothing to prefer.")
    shared = shared_beginning(chosen, rejected)
    end = len(shared) if shared[-1:].isspace() else max(map(shared.rfind, " \n\t")) + 1
    words = shared[:end].rstrip()
    if not words:
        raise BadRow("chosen", "Chosen and rejected share no beginning that could be the prompt.")
    return (
        prompt(words, "chosen"),
        response(chosen[len(words) :], "chosen"),
        response(rejected[len(words) :], "rejected"),
    )


def render(item: Item, style: str = "conversational") -> dict[str, Any]:
    """The row of a decided pair (chosen first) or of a prompt; facts become columns."""
    row = columns(item.facts, _COLUMNS)
    if style == "standard":
        row["prompt"] = item.prompt[0]["content"]
        if item.responses:
            row["chosen"], row["rejected"] = (one["content"] for one in item.responses)
        return row
    asked = [written(turn, "reasoning_content") for turn in item.prompt]
    if not item.responses:
        return row | {"prompt": asked}
    chosen, rejected = ([written(one, "reasoning_content")] for one in item.responses)
    if style == "implicit":
        return row | {"chosen": asked + chosen, "rejected": asked + rejected}
    return row | {"prompt": asked, "chosen": chosen, "rejected": rejected}
