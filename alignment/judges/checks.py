"""Checks in Python that an admin has installed as files, as a judge."""

import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, ClassVar, Self

from pydantic import Field, PrivateAttr

from alignment.checking import CHECKER, Looked
from alignment.judges.judge import Judge, Match, Verdict

NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
NOT_INSTALLED = "No checks are installed here."
Name = Annotated[str, Field(pattern=rf"^{NAME.pattern}$")]


class Checks(Judge):
    """Decides by checks in Python that an admin of this machine has installed. The higher sum wins.

    A check is a file `NAME.py` with a function `check(prompt, response)` that gives True, False or a number. It runs in
    a process of its own with limits of time and memory, and never comes from the browser.
    """

    name: ClassVar[str] = "checks"
    title: ClassVar[str] = "Installed checks"

    checks: Annotated[tuple[Name, ...], Field(min_length=1, max_length=20)] = Field(
        title="Checks",
        description="Names of the files, without .py, that lie in the folder PLUMBLINE_CHECKS of the workers.",
        json_schema_extra={"choose": "check"},
    )
    _folder: Path | None = PrivateAttr(default=None)

    def found_in(self, folder: Path | None) -> Self:
        """The same judge with the folder in which its checks lie."""
        made = self.model_copy()
        made._folder = folder
        return made

    def decide(self, matches: Sequence[Match]) -> list[Verdict]:
        """The response with the higher sum wins, equal ones are a tie; undecided where a check fails or takes long."""
        if self._folder is None:
            return [Verdict.undecided(NOT_INSTALLED) for _ in matches]
        asked = {"folder": str(self._folder), "checks": list(self.checks)}
        texts = [([dict(one) for one in match.prompt], text) for match in matches for text in match[1:3]]
        looked = iter(CHECKER.look(asked, texts))
        return [self._verdict(next(looked), next(looked)) for _ in matches]

    def _verdict(self, first: Looked, second: Looked) -> Verdict:
        for one in (first, second):
            if isinstance(one, str):
                return Verdict.undecided(one)
        sums = [math.fsum(one) for one in (first, second) if not isinstance(one, str)]
        told = [dict(zip(self.checks, one, strict=True)) for one in (first, second) if not isinstance(one, str)]
        probability = 0.5 if sums[0] == sums[1] else float(sums[0] > sums[1])
        text = f"First {sums[0]:g}, second {sums[1]:g}."
        return Verdict(probability, None, text, (told[0], told[1]))


def installed(folder: Path | None) -> list[str]:
    """The names of the checks in a folder."""
    if folder is None or not folder.is_dir():
        return []
    return sorted(one.stem for one in folder.glob("*.py") if NAME.fullmatch(one.stem) and one.is_file())
