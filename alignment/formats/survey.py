"""Records of labelling tools as items: which field is the prompt, which question decides, who answered what when."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from alignment.formats.canonical import BadRow, FileRefused, Item, LabelFacts, Message, excerpt, text
from alignment.formats.cells import SIDES
from alignment.formats.facts import RESERVED, moment, not_negative, read_facts
from alignment.formats.messages import prompt as prompt_of
from alignment.formats.messages import refuse_equal, response

Meaning = Annotated[int, Field(ge=-3, le=3)] | Literal["both_bad", "skip"]
Status = Literal["submitted", "draft", "discarded", "predicted"]
_SIDE_MEANS: Final[Mapping[str, Meaning]] = {"a": 1, "b": -1, "tie": 0, "both_bad": "both_bad"}
DRAFT: Final = "A draft that was never submitted was left out."
PREDICTION: Final = "A suggestion of a model was left out."
NO_ANSWER: Final = "An annotation without an answer to the deciding question was left out."
MEAN_RANKS: Final = (
    "Several people ranked the answers: the item has their mean ranks, and each ranking is kept in meta."
)


class Survey(BaseModel):
    """What the fields and questions of a labelling project mean here."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    prompt: str = Field(description="The field that holds the prompt: a text, or a list of messages.")
    system: str | None = Field(None, description="The field that holds the system turn.")
    responses: tuple[str, ...] = Field(
        (),
        max_length=26,
        description="The fields that hold the responses, in order; one field may hold a list of them.",
    )
    question: str | None = Field(
        None, description="The question that decides: a choice, a comparison, a ranking, or one rating."
    )
    ratings: tuple[str, ...] = Field(
        (), description="Instead of that: one rating question per response, in their order."
    )
    rationale: str | None = Field(None, description="The question whose text says why.")
    values: dict[str, Meaning] = Field(
        {},
        description="What each answer of the question means: -3 to 3 (positive: the first response), both_bad or skip.",
    )
    names: dict[str, str] = Field({}, description="Names of annotators by their ids in the file.")
    drafts: bool = Field(False, description="Read drafts as if they had been submitted.")
    suggestions: bool = Field(False, description="Read the suggestions of models as labels of judges.")

    @model_validator(mode="after")
    def _fits(self) -> Survey:
        if self.question is not None and self.ratings:
            raise ValueError("name one question that decides, or ratings, and not both")
        if self.ratings and len(self.ratings) != len(self.responses):
            raise ValueError("name one rating per response")
        used = [name for name in (self.prompt, self.system, *self.responses) if name is not None]
        if len(used) != len(set(used)):
            raise ValueError("one field is named twice")
        return self


@dataclass(slots=True)
class Answer:
    """What one annotator said of one record; a ranking is `{response: rank}`, a rating a number, a choice a text."""

    values: Mapping[str, Any]
    status: Status = "submitted"
    who: str | None = None
    created_at: str | None = None
    seconds: Any = None


@dataclass(slots=True)
class Sheet:
    """One record of a labelling tool: its fields, and what was said of it."""

    fields: Mapping[str, Any]
    answers: Sequence[Answer] = ()
    id: str | None = None
    meta: dict[str, Any] = field(default_factory=dict)


class UnsupportedVersion(FileRefused):
    """The export comes from a version of the tool, or has a layout, that is not read."""


class NotSaid(FileRefused):
    """What decides cannot be told from the file: the user must say it."""


def item_of(sheet: Sheet, survey: Survey) -> Item:
    """The item of a record, with a label per annotator where there are two responses."""
    asked = prompt_of(_field(sheet, survey.prompt), survey.prompt)
    if survey.system is not None and (said := sheet.fields.get(survey.system)) and asked[0]["role"] != "system":
        asked.insert(0, {"role": "system", "content": text(said, survey.system)})
    names, responses = _responses(sheet, survey)
    used = {survey.prompt, survey.system, *survey.responses}
    rest = {name: value for name, value in sheet.fields.items() if name not in used and value is not None}
    facts = read_facts({RESERVED: rest | sheet.meta} if rest or sheet.meta else {})
    item = Item(asked, responses, (), facts, id=sheet.id)
    answers, warnings = _that_count(sheet, survey)
    if len(responses) == 2:
        refuse_equal(responses[0], responses[1], names[1])
        labels = [label for answer in answers if (label := _label(answer, survey, names)) is not None]
        warnings += [NO_ANSWER] * (len(answers) - len(labels))
        item.labels = tuple(labels)
    elif answers and (survey.question or survey.ratings):
        facts |= read_facts(_summed_up(answers, survey, names, facts, warnings))
    item.warnings = tuple(dict.fromkeys(warnings))
    return item


def _field(sheet: Sheet, name: str) -> Any:
    if sheet.fields.get(name) is None:
        raise BadRow(name, f"The field {excerpt(name, 40)!r} is missing or empty.")
    return sheet.fields[name]


def _responses(sheet: Sheet, survey: Survey) -> tuple[list[str], list[Message]]:
    """The responses and the names under which rankings speak of them."""
    place = survey.responses[0] if len(survey.responses) == 1 else ""
    given = sheet.fields.get(place)
    if isinstance(given, list) and given and not any(isinstance(one, dict) and "role" in one for one in given):
        names = [str(one.get("id", index)) if isinstance(one, dict) else str(index) for index, one in enumerate(given)]
        return names, [response(_listed(one), f"{place}[{index}]") for index, one in enumerate(given)]
    return list(survey.responses), [response(_field(sheet, name), name) for name in survey.responses]


def _listed(one: Any) -> Any:
    """The text of an entry of a list: `{id, title, body}` as Label Studio's ranker shows it."""
    if not isinstance(one, dict):
        return one
    return one.get("body") or one.get("text") or one.get("title")


def _that_count(sheet: Sheet, survey: Survey) -> tuple[list[Answer], list[str]]:
    """The answers to read, and what is said of those left out."""
    found, warnings = [], []
    for answer in sheet.answers:
        if answer.status == "draft" and not survey.drafts:
            warnings.append(DRAFT)
        elif answer.status == "predicted" and not survey.suggestions:
            warnings.append(PREDICTION)
        else:
            found.append(answer)
    return found, warnings


def _label(answer: Answer, survey: Survey, names: Sequence[str]) -> LabelFacts | None:
    """The label of an answer; None when it says nothing on what decides.  A record somebody discarded is a skip."""
    value: dict[str, Any] | None = {"skip": "discarded"} if answer.status == "discarded" else None
    if value is None:
        meaning = _meaning(answer, survey, names)
        if meaning is None:
            return None
        value = {"strength": meaning} if isinstance(meaning, int) else {meaning: True}
        if meaning == "skip":
            value = {"skip": str(answer.values[survey.question or ""])}
    why = answer.values.get(survey.rationale) if survey.rationale else None
    predicted = answer.status == "predicted"
    return LabelFacts(
        value,
        "judge" if predicted else "person",
        None if answer.who is None else text(survey.names.get(answer.who, answer.who), "annotator"),
        text(why, survey.rationale or "rationale") if isinstance(why, str) and why.strip() else None,
        None if answer.seconds is None else not_negative(answer.seconds, "seconds"),
        moment(answer.created_at, "created_at"),
    )


def _meaning(answer: Answer, survey: Survey, names: Sequence[str]) -> Meaning | None:
    if survey.ratings:
        first, second = (answer.values.get(name) for name in survey.ratings)
        if first is None or second is None:
            return None
        difference = not_negative(first, survey.ratings[0]) - not_negative(second, survey.ratings[1])
        return max(-3, min(3, round(difference) or (difference > 0) - (difference < 0)))
    said = answer.values.get(survey.question) if survey.question else None
    if said is None:
        return None
    if isinstance(said, Mapping):
        first, second = (said.get(name) for name in names)
        if first is None or second is None:
            raise BadRow(survey.question or "question", f"The ranking does not name {', '.join(names)}.")
        return int(first < second) - int(first > second)
    found = meaning_of(said, survey.values, names)
    if found is None:
        raise BadRow(
            survey.question or "question",
            f"It is not said what the answer {excerpt(said, 40)} means: which response it prefers, or neither.",
        )
    return found


def meaning_of(said: Any, values: Mapping[str, Meaning], names: Sequence[str]) -> Meaning | None:
    """What an answer means: as it is said, by the name of a response, or by a usual word; None when none is known."""
    word = f"{said:g}" if isinstance(said, int | float) and not isinstance(said, bool) else str(said).strip()
    if word in values:
        return values[word]
    if isinstance(said, int | float):
        return None  # whether 1 or 5 is for the first response only the user knows
    if len(names) == 2 and word in names:
        return 1 if word == names[0] else -1
    side = SIDES.get(word.lower())
    return None if side is None else _SIDE_MEANS[side]


def _summed_up(
    answers: Sequence[Answer], survey: Survey, names: Sequence[str], facts: Mapping[str, Any], warnings: list[str]
) -> dict[str, Any]:
    """Facts of an item with one response, or more than two: mean ratings, mean ranks; each answer stays in `meta`."""
    kept: list[dict[str, Any]] = []
    told: list[list[float]] = []
    for answer in answers:
        said = answer.values.get(survey.question) if survey.question else [answer.values.get(n) for n in survey.ratings]
        numbers = _numbers(said, names, survey)
        if answer.status == "discarded" or numbers is None:
            warnings.append(NO_ANSWER)
            continue
        told.append(numbers)
        who = survey.names.get(answer.who or "", answer.who)
        entry = {
            "annotator": who,
            "value": said,
            "created_at": moment(answer.created_at, "created_at"),
            "seconds": answer.seconds,
        }
        kept.append({name: value for name, value in entry.items() if value is not None})
    if not told:
        return {}
    means = [sum(column) / len(told) for column in zip(*told, strict=True)]
    ranked = bool(survey.question) and len(names) > 1
    if ranked and len(told) > 1:
        warnings.append(MEAN_RANKS)
    meta = {**facts.get(RESERVED, {}), "answers": kept}
    if survey.question and not ranked and set(survey.values.values()) - {"skip"}:
        return {"desirable": means[0] > 0, RESERVED: meta}
    return {"ranks" if ranked else "scores": means, RESERVED: meta}


def _numbers(said: Any, names: Sequence[str], survey: Survey) -> list[float] | None:
    """One number per response, or None where the answer has none."""
    if isinstance(said, Mapping):
        ranks = [said.get(name) for name in names]
        return None if None in ranks else [float(rank) for rank in ranks if rank is not None]
    given = said if isinstance(said, list) else [said]
    if len(given) != len(names) or None in given:
        return None
    if survey.values:
        meanings = [meaning_of(one, survey.values, ()) for one in given]
        return [float(one) for one in meanings] if all(isinstance(one, int) for one in meanings) else None  # type: ignore[arg-type]
    return [not_negative(one, survey.question or "rating") for one in given]
