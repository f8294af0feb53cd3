"""People decide, blind, in the browser."""

from collections.abc import Sequence
from typing import ClassVar

from alignment.judges.judge import DecidedBy, Judge, Match, Verdict


class People(Judge):
    """People decide, blind: the matches wait on the compare page."""

    name: ClassVar[str] = "people"
    title: ClassVar[str] = "People"
    decided_by: ClassVar[DecidedBy] = "people"

    def decide(self, matches: Sequence[Match]) -> list[Verdict]:
        """No verdict on any match: it waits for a person."""
        return [Verdict.undecided("This match waits for a person to judge it.") for _ in matches]
