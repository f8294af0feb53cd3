"""A server with two models that answer and one that judges."""

import re
from collections.abc import Callable
from typing import Any

from tests.endpoint import Habits

JUDGE, SHORT, LONG = "a-judge", "short-answers", "long-answers"
ANSWERS = {SHORT: "No.", LONG: "Gladly: it is a wide and quiet place."}
BLOCK = re.compile(r"\[begin of answer . (\w+)\]\n(.*?)\n\[end of answer . \1\]", re.DOTALL)


def longer(question: str) -> str:
    """The verdict of a judge that likes the longer answer, whichever side it is on."""
    first, second = (len(text) for _, text in BLOCK.findall(question))
    return "Length decides.\n" + ("A" if first > second else "B" if second > first else "C")


class Court:
    """A server whose models answer and judge; `verdict` is what the judge replies to a question."""

    def __init__(self, habits: Habits) -> None:
        self.habits = habits
        self.verdict: Callable[[str], str] = longer
        habits.models = [JUDGE, SHORT, LONG]
        habits.says = self._say

    def _say(self, body: dict[str, Any]) -> str:
        text = body["messages"][-1]["content"]
        if body["model"] != JUDGE:
            return ANSWERS[body["model"]]
        return self.verdict(text) if BLOCK.search(text) else "Hello."

    @property
    def questions(self) -> list[str]:
        """What the judge was asked, since it was registered."""
        return [body["messages"][0]["content"] for body in self.habits.asked if body["model"] == JUDGE]
