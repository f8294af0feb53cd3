"""Answers beside copies of themselves from which known amounts of their key words were taken."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import ClassVar, Final, Literal

from pydantic import Field

from alignment.formats.canonical import CHOSEN_FIRST, Item, Kind
from alignment.formats.conversion import Conversion, Left
from alignment.formats.turning import OF_PAIRS, less

DEGREES: Final = 3  # beside the answer as it is, which is 0
REMOVED: Final = "removed"
"""The aspect of each answer that says how many of these amounts were taken out of it."""
WORD: Final = re.compile(r"\S+\s*")


class AnswersToDegraded(Conversion):
    """Demonstrations beside degraded copies of themselves."""

    name: Literal["answers_to_degraded"] = "answers_to_degraded"
    KIND: ClassVar[Kind] = "demonstrations"
    TO: ClassVar[Kind] = "paired"
    TITLE: ClassVar[str] = "Pairs with degraded copies"
    DOES: ClassVar[str] = (
        "Each answer becomes three pairs: it is better than copies of itself from which a third, two thirds and all of "
        "the stated share of its words were taken, the longest words first. The aspect removed says how much: 0 to 3."
    )

    share: float = Field(
        0.5, gt=0, lt=1, title="Share", description="Share of the words that the most degraded copy lacks."
    )

    def of(self, item: Item) -> Iterable[Item]:
        """Three pairs, the whole answer first."""
        (answer,) = item.responses
        if not isinstance(answer["content"], str) or answer.get("tool_calls"):
            raise Left("no_words")
        words = WORD.findall(answer["content"])
        taken = [round(self.share * degree / DEGREES * len(words)) for degree in range(DEGREES + 1)]
        if len(set(taken)) <= DEGREES or taken[-1] >= len(words):
            raise Left("few_words")
        key = sorted(range(len(words)), key=lambda place: (-len(words[place].strip()), place))
        facts = less(item.facts, {*OF_PAIRS, "scores", "ranks", "aspects", "desirable"})
        return [
            Item(
                item.prompt,
                [answer, {**answer, "content": without(words, key[: taken[degree]])}],
                (CHOSEN_FIRST,),
                {**facts, "aspects": [{REMOVED: 0.0}, {REMOVED: float(degree)}]},
                line=item.line,
            )
            for degree in range(1, DEGREES + 1)
        ]


def without(words: list[str], taken: list[int]) -> str:
    """The text of the words but for those at some places."""
    gone = set(taken)
    return "".join(word for place, word in enumerate(words) if place not in gone).strip()
