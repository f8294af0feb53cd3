"""What a run says about its examples: how many were cut, dropped, or lost something to the chat template."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from alignment.training.encode import Examples
from alignment.training.spec import Length

DROPPED = {
    "same_dropped": "examples were dropped: their responses are the same",
    "role_left_out": "examples were left out: the objective has no use for such answers",
    "turn_left_out": "answers were left out: they begin their dialogue, and nobody asked for them",
    "turn_held_out": "earlier answers were left out: their prompt is held out, or of training where they are not",
    "turn_doubled": "earlier answers were left out: another dialogue has the same after the same prompt",
    "goal_left_out": "examples were left out: their chosen response scores no higher than the rejected one",
    "reward_left_out": "examples were left out: the objective cannot learn from the rewards that they were given",
    "empty_dropped": "examples were dropped: a response says nothing once it is rendered and cut",
}
LOST = {
    "systems_left_out": "prompts have a system message, which the chat template leaves out",
    "turns_left_out": "prompts have earlier answers, which the chat template leaves out",
    "reasonings_left_out": "responses have reasoning, which the chat template leaves out",
    "ended_early": "responses hold an end token in their text: what follows it is left out",
}


class Remark(NamedTuple):
    """A sentence for the run's log, with its numbers by name."""

    message: str
    numbers: dict[str, Any]
    level: str = "warning"


def remarks(examples: Examples, length: Length) -> Iterator[Remark]:
    """All that is to be said, each with how many examples it is about; nothing where all is as it should be."""
    counts = examples.counts
    if counts["prompts_cut"] or counts["responses_cut"]:
        yield Remark(
            f"{counts['prompts_cut']} of {counts['prompts']} prompts were cut on the {length.cut_prompt}, "
            f"{counts['responses_cut']} of {counts['responses']} responses on the right, which so have no end",
            {**{name: counts[name] for name in ("prompts_cut", "responses_cut")}, "side": length.cut_prompt},
        )
    for name, sentence in {**DROPPED, **LOST}.items():
        if counts[name]:
            yield Remark(f"{counts[name]} {sentence}", {name: counts[name]})
    if number := counts["without_bos"]:
        yield Remark(
            f"{number} prompts begin without the token that the tokenizer puts before plain texts: the chat template "
            "does not write it, and generation does without it too",
            {"without_bos": number},
            "info",
        )
