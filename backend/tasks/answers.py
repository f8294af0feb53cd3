"""What may be said to a question, and turning it from the order shown to the order of the item and back."""

from collections.abc import Mapping, Sequence
from typing import Any

from backend.errors import Invalid
from backend.tasks.schemas import Question

Value = dict[str, Any]


class UnknownChoice(Invalid):
    title = "Unknown choice"


class WrongRatings(Invalid):
    title = "Wrong ratings"


class RationaleMissing(Invalid):
    title = "Rationale missing"


class NotAsked(Invalid):
    title = "Not asked for"


def check(question: Question, value: Mapping[str, Any], count: int) -> None:
    """That the value answers the question about so many responses.  Raises UnknownChoice."""
    if "skip" in value:
        return
    said = next(iter(value), None)
    if question.kind == "pair" and said == "strength":
        most = 1 if question.scale == "preference" else 3
        if abs(value["strength"]) > most:
            raise _unknown(f"This task asks for a preference from {-most} to {most}.")
    elif question.kind == "pair" and said == "both_bad":
        if not question.both_bad:
            raise _unknown("This task has no “both bad”.")
    elif question.kind == "ranking" and said == "ranking":
        if sorted(place for group in value["ranking"] for place in group) != list(range(count)):
            raise _unknown(f"A ranking names each of the {count} responses once, by the numbers 0 to {count - 1}.")
    elif question.kind != "thumb" or said != "thumb":
        raise _unknown(f"This task asks for a {'strength' if question.kind == 'pair' else question.kind}.")


def _unknown(detail: str) -> UnknownChoice:
    return UnknownChoice(detail, field="value", remedy="Answer what the task asks, or skip with a reason.")


def check_ratings(question: Question, ratings: Mapping[str, Sequence[float]] | None, count: int, *, skip: bool) -> None:
    """That every aspect of the question is rated once for each response, a skip needs none.  Raises WrongRatings."""
    given = ratings or {}
    known = {aspect.name: aspect for aspect in question.aspects}
    for name in given:
        if name not in known:
            raise WrongRatings(f"This task has no aspect “{name}”.", field="aspects", remedy="Leave it out.")
    for name, aspect in known.items():
        numbers = given.get(name)
        if numbers is None and skip:
            continue
        if numbers is None or len(numbers) != count or any(not aspect.low <= one <= aspect.high for one in numbers):
            raise WrongRatings(
                f"“{aspect.title}” needs a number from {aspect.low} to {aspect.high} for each of {count} responses.",
                field="aspects",
                remedy="Rate every response, or skip.",
            )


def check_rationale(question: Question, rationale: str | None, *, skip: bool) -> None:
    """Raises RationaleMissing, NotAsked."""
    if question.rationale == "required" and not rationale and not skip:
        raise RationaleMissing("This task asks for a reason.", field="rationale", remedy="Say why, or skip.")
    if question.rationale == "off" and rationale:
        raise NotAsked("This task asks for no rationale.", field="rationale", remedy="Leave it out.")


def to_item(value: Value, order: Sequence[int]) -> Value:
    """A value in the order of the item; `order` names the response that is shown at each place."""
    return _turned(value, order)


def to_shown(value: Value, order: Sequence[int]) -> Value:
    """A value in the order shown."""
    return _turned(value, [order.index(place) for place in range(len(order))])


def _turned(value: Value, order: Sequence[int]) -> Value:
    if "strength" in value:
        return value | {"strength": -value["strength"]} if list(order) == [1, 0] else value
    if "ranking" in value:
        return value | {"ranking": [sorted(order[place] for place in group) for group in value["ranking"]]}
    return value


def ratings_to_item(ratings: Mapping[str, Sequence[float]], order: Sequence[int]) -> dict[str, list[float]]:
    """Ratings of the responses in the order of the item."""
    return {name: [numbers[order.index(place)] for place in range(len(order))] for name, numbers in ratings.items()}


def ratings_to_shown(ratings: Mapping[str, Sequence[float]], order: Sequence[int]) -> dict[str, list[float]]:
    """Ratings of the responses in the order shown."""
    return {name: [numbers[place] for place in order] for name, numbers in ratings.items()}


def check_edit(question: Question, response: int, count: int, *, skip: bool) -> None:
    """Raises NotAsked, UnknownChoice."""
    if skip:
        raise NotAsked("A skip comes without an edit.", field="edit", remedy="Leave it out, or answer.")
    if not question.edits:
        raise NotAsked("This task asks for no edits.", field="edit", remedy="Leave it out.")
    if response >= count:
        raise UnknownChoice(f"There are {count} responses, the first is 0.", field="edit.response", remedy="Name one.")
