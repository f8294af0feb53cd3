"""Anthropic HH transcripts: `{chosen, rejected}`, two dialogues of Human and Assistant turns that part at the end."""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import pairwise
from typing import Any, Final

from alignment.formats.canonical import CHOSEN_FIRST, BadRow, Item, Message, refuse_equal, shared_beginning, text
from alignment.formats.facts import read_facts

NAME: Final = "hh"
TITLE: Final = "Anthropic HH transcripts"
LOSSES: Final = (
    "Items without a decided label are left out.",
    "System and tool turns, reasoning, tool calls and names cannot be written.",
    "Facts, votes and strengths are dropped; spaces around a turn are lost.",
)
HUMAN: Final = "\n\nHuman:"
ASSISTANT: Final = "\n\nAssistant:"
_TURN = re.compile(r"\n\n(Human|Assistant):")
_ROLE: Final = {"Human": "user", "Assistant": "assistant"}
_NAME: Final = {"user": HUMAN, "assistant": ASSISTANT}


def claims(row: Mapping[str, Any]) -> bool:
    """Whether a row looks like this format."""
    sides = row.get("chosen"), row.get("rejected")
    return "prompt" not in row and all(isinstance(side, str) and HUMAN in side[:200] for side in sides)


def describe(row: Mapping[str, Any]) -> str:
    """What a person should read about this row's format."""
    del row
    return TITLE


def parse(row: Mapping[str, Any]) -> Item:
    """The item of one row: the dialogue is cut at the last answer that both transcripts begin together."""
    chosen = text(row.get("chosen"), "chosen").replace("\r\n", "\n")
    rejected = text(row.get("rejected"), "rejected").replace("\r\n", "\n")
    if chosen.strip() == rejected.strip():
        raise BadRow("rejected", "Both transcripts are the same, so there is nothing to prefer.")
    cut = shared_beginning(chosen, rejected).rfind(ASSISTANT)
    if cut < 0:
        raise BadRow("chosen", 'The transcripts share no beginning that ends with "\\n\\nAssistant:".')
    start = cut + len(ASSISTANT)
    responses = [_answer(chosen[start:], "chosen"), _answer(rejected[start:], "rejected")]
    refuse_equal(responses[0], responses[1], "rejected")
    prompt, warnings = _dialogue(chosen[:cut])
    facts = read_facts({name: value for name, value in row.items() if name not in ("chosen", "rejected")})
    return Item(prompt, responses, (CHOSEN_FIRST,), facts, warnings=warnings)


def _answer(rest: str, field: str) -> Message:
    if _TURN.search(rest):
        raise BadRow(field, "The transcripts part before their last answer: more than one turn differs.")
    content = rest.strip()
    if not content:
        raise BadRow(field, "The last answer is empty.")
    return {"role": "assistant", "content": content}


def _dialogue(transcript: str) -> tuple[list[Message], tuple[str, ...]]:
    before, *turns = _TURN.split(transcript)
    if before.strip():
        raise BadRow("chosen", 'There is text before the first "\\n\\nHuman:".')
    messages: list[Message] = [
        {"role": _ROLE[name], "content": said.strip()} for name, said in zip(turns[::2], turns[1::2], strict=True)
    ]
    if not messages or messages[-1]["role"] != "user":
        raise BadRow("chosen", "No human turn stands before the last answer.")
    if not messages[-1]["content"]:
        raise BadRow("chosen", "The last human turn is empty.")
    roles = [turn["role"] for turn in messages]
    repeated = any(one == other for one, other in pairwise(roles))
    return messages, (("Two turns in a row come from the same speaker.",) if repeated else ())


def render(item: Item) -> dict[str, Any]:
    """The row of a decided pair (chosen first).  Raises BadRow for what transcripts cannot say."""
    if any(turn["role"] not in _NAME for turn in item.prompt):
        raise BadRow("prompt", "A transcript has human and assistant turns only.")
    dialogue = "".join(f"{_NAME[turn['role']]} {turn['content']}" for turn in item.prompt)
    chosen, rejected = (f"{dialogue}{ASSISTANT} {answer['content']}" for answer in item.responses)
    return {"chosen": chosen, "rejected": rejected}
