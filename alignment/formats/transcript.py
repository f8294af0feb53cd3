"""Dialogues in one text, `\n\nHuman: … \n\nAssistant: …`, as HH and Nectar hold them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Final

from alignment.formats.canonical import BadRow, Message

HUMAN: Final = "\n\nHuman:"
ASSISTANT: Final = "\n\nAssistant:"
TURN: Final = re.compile(r"\n\n(Human|Assistant):")
_ROLE: Final = {"Human": "user", "Assistant": "assistant"}
_NAME: Final = {"user": HUMAN, "assistant": ASSISTANT}


def dialogue(transcript: str, field: str) -> tuple[list[Message], tuple[str, ...]]:
    """The turns of a transcript that ends with a human's, and what is odd about them.  Raises BadRow."""
    before, *turns = TURN.split(transcript)
    if before.strip():
        raise BadRow(field, 'There is text before the first "\\n\\nHuman:".')
    messages: list[Message] = [
        {"role": _ROLE[name], "content": said.strip()} for name, said in zip(turns[::2], turns[1::2], strict=True)
    ]
    if not messages or messages[-1]["role"] != "user":
        raise BadRow(field, "No human turn stands before the last answer.")
    if not messages[-1]["content"]:
        raise BadRow(field, "The last human turn is empty.")
    roles = [turn["role"] for turn in messages]
    repeated = any(one == other for one, other in pairwise(roles))
    return messages, (("Two turns in a row come from the same speaker.",) if repeated else ())


def transcript(turns: Sequence[Message]) -> str:
    """The turns as one text.  Raises BadRow for what it cannot say."""
    if any(turn["role"] not in _NAME for turn in turns):
        raise BadRow("prompt", "A transcript has human and assistant turns only.")
    return "".join(f"{_NAME[turn['role']]} {unmarked(turn['content'], 'prompt')}" for turn in turns)


def unmarked(content: str, field: str) -> str:
    """The text, if it cannot be taken for the beginning of a turn."""
    if TURN.search(f"{content}\n\n"):
        raise BadRow(field, 'The text itself holds "\\n\\nHuman:" or "\\n\\nAssistant:".')
    return content


def shared_beginning(first: str, second: str) -> str:
    """The longest text that both begin with, found by halving: long transcripts are compared at C speed."""
    low, high = 0, min(len(first), len(second))
    while low < high:
        middle = (low + high + 1) // 2
        if first[low:middle] == second[low:middle]:
            low = middle
        else:
            high = middle - 1
    return first[:low]
