"""Plain rules as a judge: words, length, regular expressions, JSON.

Phrases are compared word by word. Regular expressions and schemas are looked at apart, with limits
(`alignment.checking`): one written by a stranger can take for ever.
"""

import json
import re
from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, Self

from pydantic import AfterValidator, Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from alignment.checking import CHECKER, Looked
from alignment.judges.judge import Judge, Match, Verdict

_WORD = re.compile(r"\w+(?:['\u2019]\w+)*")


def _has_words(phrase: str) -> str:
    if not _WORD.search(phrase):
        raise PydanticCustomError("no_words", "a phrase needs at least one letter or digit")
    return phrase


Phrase = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_has_words)]
Phrases = Annotated[tuple[Phrase, ...], Field(max_length=200)]


def _is_pattern(pattern: str) -> str:
    try:
        re.compile(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        why = getattr(error, "msg", "too deep")
        raise PydanticCustomError("no_pattern", "{text}", {"text": f"is no regular expression: {why}"}) from None
    return pattern


Pattern = Annotated[str, Field(min_length=1, max_length=500), AfterValidator(_is_pattern)]
Patterns = Annotated[tuple[Pattern, ...], Field(max_length=20)]


class Check(NamedTuple):
    """One rule: what it is in words and whether a response keeps it."""

    rule: str
    kept: bool


class Rules(Judge):
    """Decides by plain rules: words, patterns, JSON, and a number of words. More rules kept wins."""

    name: ClassVar[str] = "rules"
    title: ClassVar[str] = "Rules on words, patterns and length"

    must: Phrases = Field((), title="Must contain", description="Words or phrases that an answer must contain.")
    must_not: Phrases = Field((), title="Must not contain", description="Words or phrases that it must not contain.")
    match: Patterns = Field(
        (),
        title="Must match",
        description="Regular expressions of Python that must be found in an answer, one a line. (?m) lets ^ and $ stand"
        " at lines, (?i) lets case be.",
        json_schema_extra={"format": "lines"},
    )
    match_not: Patterns = Field(
        (),
        title="Must not match",
        description="Regular expressions that must not be found, one a line.",
        json_schema_extra={"format": "lines"},
    )
    exactly: str = Field(
        "",
        max_length=20_000,
        title="Must be exactly",
        description="The whole answer, letter for letter, but for blanks around it. Empty: any.",
        json_schema_extra={"format": "multiline"},
    )
    form: Literal["any", "json"] = Field(
        "any", title="Form", description="json: the whole answer must be JSON, without a fence around it."
    )
    json_schema: str = Field(
        "",
        max_length=20_000,
        title="JSON schema",
        description="What the JSON of an answer must be; references to other documents are not followed. Empty: any.",
        json_schema_extra={"format": "multiline"},
    )
    min_words: int = Field(0, ge=0, le=1_000_000, title="Fewest words", description="0: no lower limit.")
    max_words: int | None = Field(200, ge=1, le=1_000_000, title="Most words", description="Empty: no upper limit.")

    @field_validator("json_schema")
    @classmethod
    def _is_schema(cls, text: str) -> str:
        if not text.strip():
            return ""
        try:
            found = json.loads(text)
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict):
            raise PydanticCustomError("no_schema", "{text}", {"text": "must be a JSON object"})
        return text

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        said = self.must or self.must_not or self.match or self.match_not or self.form == "json" or self.json_schema
        said = said or self.exactly.strip()
        if not (said or self.min_words or self.max_words is not None):
            raise PydanticCustomError("no_rule", "give at least one phrase, a pattern or a number of words")
        if self.max_words is not None and self.max_words < self.min_words:
            raise PydanticCustomError("word_limits", "max_words must not be less than min_words")
        return self

    def decide(self, matches: Sequence[Match]) -> list[Verdict]:
        """The response that keeps more rules wins; equal numbers are a tie.

        A match of which an answer could not be looked at to the end is undecided.
        """
        texts = list(dict.fromkeys(text for match in matches for text in match[1:3]))
        looked = dict(zip(texts, self._look(texts), strict=True))
        return [self._one(match, looked) for match in matches]

    def _look(self, texts: Sequence[str]) -> list[Looked]:
        """What patterns and schema gave for each answer; nothing where there are none."""
        asked: dict[str, Any] = {}
        if self.match or self.match_not:
            asked["patterns"] = [*self.match, *self.match_not]
        if self.form == "json" or self.json_schema:
            asked["schema"] = json.loads(self.json_schema) if self.json_schema else True
        if not asked:
            return [[] for _ in texts]
        return CHECKER.look(asked, [(None, text) for text in texts])

    def _one(self, match: Match, looked: dict[str, Looked]) -> Verdict:
        both = [looked[text] for text in match[1:3]]
        for one in both:
            if isinstance(one, str):
                return Verdict.undecided(one)
        first, second = (self._checks(text, gave) for text, gave in zip(match[1:3], both, strict=True))
        kept = [sum(check.kept for check in checks) for checks in (first, second)]
        probability = 0.5 if kept[0] == kept[1] else float(kept[0] > kept[1])
        text = f"First {_in_words(first)}. Second {_in_words(second)}."
        return Verdict(probability, None, text, ({"rules kept": float(kept[0])}, {"rules kept": float(kept[1])}))

    def check(self, response: str) -> list[Check] | str:
        """Every rule that is set, and whether the response keeps it; or why that cannot be told."""
        (gave,) = self._look([response])
        return gave if isinstance(gave, str) else self._checks(response, gave)

    def _checks(self, response: str, gave: Looked) -> list[Check]:
        words = [word.lower() for word in _WORD.findall(response)]
        text = f" {' '.join(words)} "
        checks = [Check(f"contains “{phrase}”", _plain(phrase) in text) for phrase in self.must]
        checks += [Check(f"avoids “{phrase}”", _plain(phrase) not in text) for phrase in self.must_not]
        told = iter(gave)
        checks += [Check(f"matches {pattern}", bool(next(told))) for pattern in self.match]
        checks += [Check(f"does not match {pattern}", not next(told)) for pattern in self.match_not]
        if self.exactly.strip():
            checks.append(Check("is exactly what was asked", response.strip() == self.exactly.strip()))
        if self.form == "json" or self.json_schema:
            checks.append(Check("is JSON that fits" if self.json_schema else "is JSON", bool(next(told))))
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
