"""Anthropic HH transcripts: `{chosen, rejected}`, two dialogues of Human and Assistant turns that part at the end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from alignment.formats.canonical import CHOSEN_FIRST, BadRow, Item, Message, text
from alignment.formats.facts import read_facts
from alignment.formats.messages import refuse_equal
from alignment.formats.transcript import ASSISTANT, HUMAN, TURN, dialogue, shared_beginning, transcript, unmarked

NAME: Final = "hh"
TITLE: Final = "Anthropic HH transcripts"
KINDS: Final = frozenset({"paired"})
STYLES: Final = {"": frozenset({"turns"})}
DECIDED: Final = True
NOTES: Final = ("A turn that itself holds “Human:” or “Assistant:” after an empty line is left out.",)
EXAMPLE: Final = (
    r'{"chosen":"\n\nHuman: Name a color.\n\nAssistant: Red.","rejected":"\n\nHuman: Name a color.\n\nAssistant: No."}'
)


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
    prompt, warnings = dialogue(chosen[:cut], "chosen")
    facts = read_facts({name: value for name, value in row.items() if name not in ("chosen", "rejected")})
    return Item(prompt, responses, (CHOSEN_FIRST,), facts, warnings=warnings)


def _answer(rest: str, field: str) -> Message:
    if TURN.search(rest):
        raise BadRow(field, "The transcripts part before their last answer: more than one turn differs.")
    content = rest.strip()
    if not content:
        raise BadRow(field, "The last answer is empty.")
    return {"role": "assistant", "content": content}


def render(item: Item, style: str = "") -> dict[str, Any]:
    """The row of a decided pair (chosen first).  Raises BadRow for what transcripts cannot say."""
    del style
    before = transcript(item.prompt)
    chosen, rejected = (f"{before}{ASSISTANT} {unmarked(answer['content'], 'chosen')}" for answer in item.responses)
    return {"chosen": chosen, "rejected": rejected}
