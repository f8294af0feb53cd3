"""Formats of labelling tools, which are read through a survey: what it is guessed from, and what must be asked."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal

from alignment.formats.canonical import BadRow, Item, excerpt
from alignment.formats.survey import NotSaid, Sheet, Survey, item_of, meaning_of

QuestionKind = Literal["choice", "rating", "ranking", "text"]
MANY: Final = 12  # different answers shown of one question
_PROMPT: Final = ("prompt", "instruction", "question", "query", "input", "conversation", "messages", "chat", "text")
_SYSTEM: Final = ("system", "system_prompt")
_RESPONSE: Final = re.compile(
    r"(response|answer|completion|output|generation|option|reply|candidate|chosen|rejected)s?([-_ ]?\w{1,3})?$",
    re.IGNORECASE,
)
_LISTS: Final = ("items", "answers", "responses", "options", "candidates")
_DIGITS: Final = re.compile(r"(\d+)")


@dataclass
class Question:
    """One question of a project: what kind of answers it has, some of them, and how many people's answers were seen."""

    name: str
    kind: QuestionKind
    answers: list[str] = field(default_factory=list)
    seen: int = 0


@dataclass
class Parts:
    """What the first records hold: fields, questions, and who answered."""

    fields: list[str]
    questions: list[Question]
    annotators: list[str]


@dataclass(frozen=True)
class Tool:
    """A labelling tool whose exports are read."""

    name: str
    title: str
    claims: Callable[[Mapping[str, Any]], bool]
    sheet: Callable[[Mapping[str, Any]], Sheet]
    notes: tuple[str, ...]
    example: str


class Surveyed:
    """The rows of a tool's export, read by a survey, as a format that cannot be written."""

    KINDS: Final[frozenset[str]] = frozenset()
    STYLES: Final = {"": frozenset[str]()}
    DECIDED: Final = False

    def __init__(self, tool: Tool, survey: Survey | None = None) -> None:
        self.tool, self.survey = tool, survey
        self.NAME, self.TITLE, self.NOTES, self.EXAMPLE = tool.name, tool.title, tool.notes, tool.example

    def by(self, survey: Survey) -> Surveyed:
        """The same format with a survey."""
        return Surveyed(self.tool, survey)

    def claims(self, row: Mapping[str, Any]) -> bool:
        """Whether a row looks like this tool's."""
        return self.tool.claims(row)

    def describe(self, row: Mapping[str, Any]) -> str:
        """What a person should read about how these rows are read."""
        del row
        if self.survey is None:
            return self.TITLE
        decides = self.survey.question or ", ".join(self.survey.ratings)
        return f"{self.TITLE}: “{decides}” decides" if decides else f"{self.TITLE}, without labels"

    def parse(self, row: Mapping[str, Any]) -> Item:
        """The item of a record; a record's other annotators may be in the next rows."""
        if self.survey is None:
            raise BadRow("survey", "It is not said which field is the prompt and which question decides.")
        return item_of(self.tool.sheet(row), self.survey)

    def render(self, item: Item, style: str = "") -> dict[str, Any]:
        """Nothing: a tool's export is only read."""
        del item, style
        raise BadRow("format", f"{self.TITLE} is only read.")

    def parts(self, rows: Iterable[Mapping[str, Any]]) -> Parts:
        """What the records hold.  Unreadable ones are passed over; raises UnsupportedVersion."""
        fields: dict[str, int] = {}
        questions: dict[str, Question] = {}
        annotators: dict[str, int] = {}
        for sheet in self._sheets(rows):
            fields |= dict.fromkeys(sheet.fields, 0)
            for answer in sheet.answers:
                if answer.who is not None and answer.status != "predicted":
                    annotators[answer.who] = 0
                for name, said in answer.values.items():
                    _see(questions.setdefault(name, Question(name, _kind(said))), said)
        for question in questions.values():
            if question.kind == "choice" and len(question.answers) > MANY:
                question.kind = "text"
            question.answers = sorted(question.answers)[:MANY]
        return Parts(list(fields), list(questions.values()), list(annotators))

    def guess(self, rows: Sequence[Mapping[str, Any]], known: Mapping[str, Any] | None = None) -> Survey:
        """The survey that names and answers suggest, where it is not `known` from elsewhere.

        Raises NotSaid with what must be asked, UnsupportedVersion.
        """
        known = known or {}
        sheets = list(self._sheets(rows))
        parts = self.parts(rows)
        if "prompt" in known and "responses" in known:
            prompt, responses = known["prompt"], tuple(known["responses"])
        else:
            prompt, responses = _fields(parts.fields, sheets)
            responses = tuple(known.get("responses", responses))
        question, ratings = (known["question"], ()) if "question" in known else _deciding(parts.questions, responses)
        texts = [one.name for one in parts.questions if one.kind == "text"]
        return Survey(
            prompt=prompt,
            system=next((name for name in parts.fields if name.lower() in _SYSTEM), None),
            responses=responses,
            question=question,
            ratings=ratings,
            rationale=texts[0] if len(texts) == 1 else None,
            values=known.get("values", {}),
        )

    def _sheets(self, rows: Iterable[Mapping[str, Any]]) -> Iterable[Sheet]:
        for row in rows:
            try:
                yield self.tool.sheet(row)
            except BadRow:
                continue


def joined(items: Iterable[Any]) -> Iterable[Any]:
    """The same items, but where neighbors are one record (tools may write a row per annotation) they are one item that
    has the labels of both."""
    held: Item | None = None
    for item in items:
        if held is not None and isinstance(item, Item) and _same(held, item):
            held = _with(held, item)
            continue
        if held is not None:
            yield held
        held = item if isinstance(item, Item) else None
        if held is None:
            yield item
    if held is not None:
        yield held


def _same(one: Item, other: Item) -> bool:
    return one.id is not None and one.id == other.id and one.content_hash == other.content_hash


def _with(item: Item, other: Item) -> Item:
    warnings = tuple(dict.fromkeys((*item.warnings, *other.warnings)))
    return replace(item, labels=(*item.labels, *other.labels), warnings=warnings)


def _kind(said: Any) -> QuestionKind:
    if isinstance(said, Mapping):
        return "ranking"
    if isinstance(said, int | float) and not isinstance(said, bool):
        return "rating"
    return "choice" if len(str(said)) <= 60 and "\n" not in str(said) else "text"


def _see(question: Question, said: Any) -> None:
    question.seen += 1
    if _kind(said) == "text":
        question.kind = "text"
    if isinstance(said, Mapping):
        return
    word = f"{said:g}" if isinstance(said, int | float) and not isinstance(said, bool) else excerpt(said, 60)
    if len(question.answers) <= MANY and word not in question.answers:
        question.answers.append(word)


def _natural(name: str) -> list[Any]:
    return [int(part) if part.isdigit() else part.lower() for part in _DIGITS.split(name)]


def _fields(names: Sequence[str], sheets: Sequence[Sheet]) -> tuple[str, tuple[str, ...]]:
    """The field of the prompt and those of the responses.  Raises NotSaid."""
    plain = {name.lower(): name for name in reversed(names)}
    listed = [
        plain[name] for name in _LISTS if name in plain and any(_is_list(one.fields.get(plain[name])) for one in sheets)
    ]
    responses = tuple(listed[:1]) or tuple(sorted((name for name in names if _RESPONSE.match(name)), key=_natural))
    if {name.lower() for name in responses} == {"chosen", "rejected"}:
        responses = tuple(sorted(responses))
    prompt = next((plain[name] for name in _PROMPT if name in plain and plain[name] not in responses), None)
    if prompt is None or not responses:
        what = "which field is the prompt" if prompt is None else "which fields are the responses"
        raise NotSaid(
            f"It cannot be told {what}; the fields are {excerpt(', '.join(names), 300) or '(none)'}.",
            "Say which field is what.",
        )
    return prompt, responses


def _is_list(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and not (isinstance(value[0], dict) and "role" in value[0])


def _deciding(questions: Sequence[Question], responses: Sequence[str]) -> tuple[str | None, tuple[str, ...]]:
    """The one question that can decide, or one rating per response; neither where nobody was asked.  Raises NotSaid."""
    listed = len(responses) == 1
    found: list[tuple[str | None, tuple[str, ...]]] = [
        (one.name, ()) for one in questions if _may_decide(one, responses, listed=listed)
    ]
    ratings = tuple(one.name for one in questions if one.kind == "rating")
    if ratings and not listed:
        ordered = tuple(
            next((name for name in ratings if response.lower() in name.lower()), "") for response in responses
        )
        if all(ordered) and len(set(ordered)) == len(responses):
            found.append((None, ordered))
    if len(found) == 1:
        return found[0]
    asked = [one for one in questions if one.kind != "text"]
    if not found and not asked:
        return None, ()
    names = ", ".join(f"“{excerpt(one.name, 40)}” ({one.kind})" for one in asked)
    raise NotSaid(
        f"Several questions could decide which response is better: {names}."
        if len(found) > 1
        else f"It cannot be told which response the answers prefer; the questions are {names}.",
        "Say which question decides, and what its answers mean.",
    )


def _may_decide(question: Question, responses: Sequence[str], *, listed: bool) -> bool:
    if question.kind == "ranking":
        return True
    if question.kind == "rating":
        return listed
    known = [meaning_of(answer, {}, responses) is not None for answer in question.answers]
    return question.kind == "choice" and not listed and all(known)
