"""Plain rules on words and length, as a judge.

Phrases are compared word by word and there are no regular expressions: one written by a stranger can take for ever.
"""

import re
from collections.abc import Sequence
from typing import Annotated, ClassVar, NamedTuple, Self

from pydantic import AfterValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from alignment.judges.judge import Judge, Match, Verdict

_WORD = re.compile(r"\w+(?:['\u2019]\w+)*")


def _has_words(phrase: str) -> str:
    if not _WORD.search(phrase):
        raise PydanticCustomError("no_words", "a phrase needs at least one letter or digit")
    return phrase


Phrase = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_has_words)]
Phrases = Annotated[tuple[Phrase, ...], Field(max_length=200)]


class Check(NamedTuple):
    """One rule: what it is in words and whether a response keeps it."""

    rule: str
    kept: bool


class Rules(Judge):
    """Decides by plain rules: words that must or must not occur, and a number of words. More rules kept wins."""

    name: ClassVar[str] = "rules"
    title: ClassVar[str] = "Rules on words and length"

    must: Phrases = Field((), title="Must contain", description="Words or phrases that an answer must contain.")
    must_not: Phrases = Field((), title="Must not contain", description="Words or phrases that it must not contain.")
    min_words: int = Field(0, ge=0, le=1_000_000, title="Fewest words", description="0: no lower limit.")
    max_words: int | None = Field(200, ge=1, le=1_000_000, title="Most words", description="Empty: no upper limit.")

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        if not (self.must or self.must_not or self.min_words or self.max_words is not None):
            raise PydanticCustomError("no_rule", "give at least one phrase or a number of words")
        if self.max_words is not None and self.max_words < self.min_words:
            raise PydanticCustomError("word_limits", "max_words must not be less than min_words")
        return self

    def decide(self, matches: Sequence[Match]) -> list[Verdict]:
        """The response that keeps more rules wins; equal numbers are a tie."""
        return [self._one(match) for match in matches]

    def _one(self, match: Match) -> Verdict:
        first, second = self.check(match.first), self.check(match.second)
        kept = [sum(check.kept for check in checks) for checks in (first, second)]
        probability = 0.5 if kept[0] == kept[1] else float(kept[0] > kept[1])
        text = f"First {_in_words(first)}. Second {_in_words(second)}."
        return Verdict(probability, None, text, ({"rules kept": float(kept[0])}, {"rules kept": float(kept[1])}))

    def check(self, response: str) -> list[Check]:
        """Every rule that is set, and whether the response keeps it."""
        words = [word.lower() for word in _WORD.findall(response)]
        text = f" {' '.join(words)} "
        checks = [Check(f"contains “{phrase}”", _plain(phrase) in text) for phrase in self.must]
        checks += [Check(f"avoids “{phrase}”", _plain(phrase) not in text) for phrase in self.must_not]
        if self.min_words:
            checks.append(Check(f"has at least {self.min_words} words", len(words) >= self.min_words))
        if self.max_words is not None:
            checks.append(Check(f"has at most {self.max_words} words", len(words) <= self.max_words))
        return checks


def _plain(phrase: str) -> str:
    return f" {' '.join(_WORD.findall(phrase.lower()))} "


def _in_words(checks: Sequence[Check]) -> str:
    broken = [check.rule for check in checks if not check.kept]
    return "keeps every rule" if not broken else f"breaks: {'; '.join(broken)}"
