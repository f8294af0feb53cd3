"""What an objective needs, in words."""

from collections.abc import Iterator
from typing import Final

from pydantic import BaseModel

from alignment.objectives import Needs, Role, feeding
from alignment.objectives.facts import find

REFERENCE: Final = {
    "none": ("no reference", "Nothing is measured against another model, which saves its memory and its pass."),
    "sequence": ("reference model", "Measures change against a frozen model: where the run starts from, or another."),
    "tokens": ("reference per token", "Measures change against a frozen model at every token."),
    "distribution": (
        "reference distribution",
        "Compares whole distributions with a frozen model at every token, so that model is run beside this one.",
    ),
}
DATA: Final = (
    ({Role.CHOSEN, Role.REJECTED}, "pairs", "A chosen and a rejected answer to each prompt."),
    ({Role.CANDIDATE}, "rankings", "Several answers to each prompt, with scores or ranks."),
    ({Role.DESIRABLE, Role.UNDESIRABLE}, "thumbs", "Single answers, each wanted or unwanted."),
    ({Role.DESIRABLE}, "wanted answers", "Single answers that are wanted."),
    ({Role.UNDESIRABLE}, "unwanted answers", "Single answers that are unwanted."),
)


class NeedOut(BaseModel):
    """Something that training must be given."""

    words: str
    why: str


def needs_in_words(needs: Needs) -> list[NeedOut]:
    """Data first, then the reference, then everything else."""
    return [NeedOut(words=words, why=why) for words, why in _told(needs)]


def _told(needs: Needs) -> Iterator[tuple[str, str]]:
    left = set(needs.roles)
    for roles, words, why in DATA:
        if roles <= left:
            left -= roles
            yield words, why
    for role in sorted(left):
        words = {**feeding.NAMES, **feeding.UNFED}[role]
        yield words, feeding.FORMED.get(role, "Beside the others, in the data.")
    yield REFERENCE[needs.reference]
    for fact in sorted(name for name in needs.facts if not getattr(find(name), "formed", False)):
        known = find(fact)
        held, meaning = (known.held, known.meaning) if known else (fact.replace("_", " "), "what the loss reads")
        yield held.partition(" (")[0], f"Each example must hold {held}: {meaning}."
    for third in sorted(needs.third):
        yield f"third model: {third}", f"Another checkpoint, the {third}, is run beside this one."
    if needs.tokens:
        yield "values per token", "Reads every token of a response by itself, not only their sum."
    if needs.steps:
        yield "steps", "Cuts each response into steps, and compares what the policy computes over them."
    if needs.own or needs.heads:
        yield "modules of its own", "Trains small modules beside the model, saved with each checkpoint and state."
    if needs.state:
        yield "memory", "Keeps running values between steps; they are saved with the run."
    if needs.coupled:
        yield "whole batch", "The loss is that of all examples of a step together, so it is scored twice."
