"""Pairs whose prompts ask for a score: each is seen twice, and the response that has the score is the better one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from alignment.objectives import feeding
from alignment.objectives.composite import innermost
from alignment.objectives.facts import ASPECT
from alignment.training.errors import BadSpec

if TYPE_CHECKING:
    from alignment.objectives import Objective
    from alignment.training.data import Example, Message

TURNABLE = frozenset({"score", "weight", "annotator"})
"""Facts that say the same of a pair that is turned round."""
GOAL = "\n\nWrite an answer that deserves a score of {score:g}."
"""What is added to the last turn of a prompt.  Whoever generates from the checkpoint adds it with the highest score."""


def require_turnable(objective: Objective) -> None:
    """Raise BadSpec where pairs are to be seen turned round, and something beside them speaks of one order only."""
    needs = objective.needs
    if not needs.goals:
        return
    beside = ["the texts"] if needs.roles & feeding.TOLD.keys() else []
    beside += [f"the {name.removeprefix(ASPECT).replace('_', ' ')}" for name in sorted(needs.facts - TURNABLE)]
    ordered = (part for part in innermost(objective) if "score" in part.needs.facts and not part.needs.goals)
    beside += [f"the scores of {part.title}" for part in ordered]
    if beside:
        found = " and ".join(beside)
        raise BadSpec(
            f"Each pair is seen twice, once turned round, and {found} beside it speak of one order only.",
            "Take one of the two objectives.",
            "objective.name",
        )


def aimed(example: Example, left_out: Counter[str]) -> Iterator[Example]:
    """A pair asked for the score of its chosen response, then turned round and asked for that of the other one.

    Nothing where the chosen response scores no higher: one prompt would then ask for both orders, or for the other one
    (Zhang et al. 2024, arXiv 2410.08067).  That is counted.
    """
    scores = example.values["score"]
    if scores[0] <= scores[1]:
        left_out["goal_left_out"] += 1
        return
    for name, turn in (("high", 1), ("low", -1)):
        yield replace(
            example,
            id=f"{example.id}/{name}",
            prompt=asking(example.prompt, scores[::turn][0]),
            responses=example.responses[::turn],
            values={fact: values[::turn] for fact, values in example.values.items()},
        )


def asking(prompt: list[Message], score: float) -> list[Message]:
    """The prompt, its last turn asking for an answer of that score."""
    last = {key: value for key, value in prompt[-1].items() if key != "parts"}
    return [*prompt[:-1], {**last, "content": last["content"] + GOAL.format(score=score)}]
