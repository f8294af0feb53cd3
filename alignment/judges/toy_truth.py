"""The true preference of the toy world, as a judge."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from pydantic import Field

from alignment.judges.judge import Judge, Match, Verdict
from alignment.toyworld.requests import UnknownPrompt, topic_of
from alignment.toyworld.reward import BEST_REWARD, Reading, read

NOT_TOY = "The prompt is not one of the toy world's, so its truth says nothing about the answers."


class ToyTruth(Judge):
    """Decides by the toy world's true reward: the answer that is right, kind and brief wins."""

    name: ClassVar[str] = "toy_truth"
    title: ClassVar[str] = "Truth of the toy world"
    mend: ClassVar[str] = (
        "Choose a dataset of the toy world's prompts, such as “Toy world: held-out prompts”, or another judge"
    )

    temperature: float = Field(
        0.0,
        ge=0,
        le=100,
        title="Temperature",
        description="0: the better answer wins for certain; above, the odds are exp(difference of rewards / this).",
    )

    def knows(self, prompt: Sequence[Mapping[str, Any]]) -> bool:
        """Whether it is a prompt of the toy world."""
        try:
            topic_of(prompt)
        except UnknownPrompt:
            return False
        return True

    def decide(self, matches: Sequence[Match]) -> list[Verdict]:
        """Equal rewards are a tie; a prompt from outside the toy world is left undecided."""
        return [self._one(match) for match in matches]

    def _one(self, match: Match) -> Verdict:
        try:
            first, second = read(match.prompt, match.first), read(match.prompt, match.second)
        except UnknownPrompt:
            return Verdict.undecided(NOT_TOY)
        text = f"First: {_in_words(first)}. Second: {_in_words(second)}."
        return Verdict(self._probability(first.reward - second.reward), None, text, (_scores(first), _scores(second)))

    def _probability(self, difference: float) -> float:
        if abs(difference) < 1e-9:
            return 0.5
        if self.temperature == 0:
            return 1.0 if difference > 0 else 0.0
        return 0.5 * (1.0 + math.tanh(0.5 * difference / self.temperature))


def _scores(reading: Reading) -> dict[str, float]:
    return {
        "reward": reading.reward,
        "share of best reward": reading.reward / BEST_REWARD,
        "right": reading.correctness,
        "kind": reading.kindness,
        "concise": reading.brevity,
        "readable": reading.coherence,
    }


def _in_words(reading: Reading) -> str:
    if reading.coherence < 0.5:
        return f"hardly readable ({reading.reward:.2f} of {BEST_REWARD:.2f})"
    kind, concise, right = reading.attributes
    manner = "neither kind nor rude" if reading.kindness == 0.5 else "kind" if kind else "rude"
    truth = "right" if right else "partly right" if reading.correctness > 0 else "wrong"
    length = "concise" if concise else "rambling"
    return f"{truth}, {manner}, {length} ({reading.reward:.2f} of {BEST_REWARD:.2f})"
