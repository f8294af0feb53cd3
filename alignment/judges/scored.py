"""Judges that let models on this machine score each response, and what they ask of such a model.

Nothing here loads one: `alignment.scores.Reader` is what is asked.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Literal, NamedTuple, Protocol, Self

from pydantic import Field, PrivateAttr

from alignment.judges.judge import DecidedBy, Judge, Match, Verdict

SAME = "Both answers are the same; no model was asked."
NOT_LOADED = "No model is loaded that could score the answers."
EVEN = 1e-9  # of scores: nearer ones are a tie

Over = Literal["sum", "mean"]


class Question(NamedTuple):
    """A prompt (chat messages) and the texts of any number of responses to it.

    Responses that are not `whole` are the beginnings of an answer: no end follows them.
    """

    prompt: Sequence[Mapping[str, Any]]
    responses: Sequence[str]
    whole: bool = True


class Told(NamedTuple):
    """What was said of one response: the score of each head, or its log-probability alone; and its length in tokens."""

    values: tuple[float, ...]
    tokens: int


class Unread(NamedTuple):
    """Why nothing was said of one response, as a sentence."""

    reason: str


Answer = Told | Unread
Check = Callable[[], None]


class Reads(Protocol):
    """A model that says something of responses: scores where `scores` is true, else log-probabilities."""

    @property
    def scores(self) -> bool:
        """Whether it is a reward model."""

    def tell(self, questions: Sequence[Question], check: Check) -> list[list[Answer]]:
        """What it says of each question's responses, in order; `check` may raise to end the work."""


class Score(NamedTuple):
    """How good a response is; `facts` are what that was made of, by name."""

    value: float
    facts: Mapping[str, float]


def _nothing() -> None:
    """Go on."""


class Scored(Judge):
    """Gives every response a score; the higher one wins, with the probability sigmoid(difference / temperature).

    The order in which the two are shown makes no difference. A response that a model cannot read whole leaves its
    match undecided, with the reason.
    """

    decided_by: ClassVar[DecidedBy] = "scores"

    temperature: float = Field(
        1.0,
        ge=0,
        le=1000,
        title="Temperature",
        description="The probability of winning is sigmoid(difference of scores / this); 0: the higher score wins for"
        " certain. It changes no winner.",
    )
    _readers: Mapping[str, Reads] = PrivateAttr(default_factory=dict)
    _check: Check | None = PrivateAttr(default=None)

    def reading(self, readers: Mapping[str, Reads], check: Check | None = None) -> Self:
        """The same judge with its models, by the path of the field that names each; `check` may raise to end work."""
        made = self.model_copy()
        made._readers, made._check = readers, check
        return made

    def scores(self, questions: Sequence[Question]) -> list[list[Score | Unread]]:
        """The score of every question's responses, in order."""
        raise NotImplementedError

    def decide(self, matches: Sequence[Match]) -> list[Verdict]:
        """One verdict per match; equal scores are a tie, as are equal responses."""
        if not self._readers:
            return [Verdict.undecided(NOT_LOADED) for _ in matches]
        different = [place for place, match in enumerate(matches) if match.first != match.second]
        asked = [Question(matches[place].prompt, matches[place][1:3]) for place in different]
        verdicts = [Verdict(0.5, None, SAME) for _ in matches]
        for place, (first, second) in zip(different, self.scores(asked), strict=True):
            verdicts[place] = self._verdict(first, second)
        return verdicts

    def _verdict(self, first: Score | Unread, second: Score | Unread) -> Verdict:
        unread = [one for one in (first, second) if isinstance(one, Unread)]
        if isinstance(first, Unread) or isinstance(second, Unread):
            return Verdict.undecided(unread[0].reason)
        difference = first.value - second.value
        text = f"First {first.value:.4g}, second {second.value:.4g}: a difference of {difference:+.4g}."
        return Verdict(self.probability(difference), None, text, (first.facts, second.facts))

    def probability(self, difference: float) -> float:
        """That the first response wins whose score is higher by so much."""
        if abs(difference) < EVEN:
            return 0.5
        if self.temperature == 0:
            return 1.0 if difference > 0 else 0.0
        return 0.5 * (1.0 + math.tanh(0.5 * difference / self.temperature))

    def _told(self, field: str, questions: Sequence[Question]) -> list[list[Answer]]:
        return self._readers[field].tell(questions, self._check or _nothing)


def log_ratios(policy: Sequence[Answer], against: Sequence[Answer], over: Over, beta: float) -> list[Score | Unread]:
    """beta (log policy - log reference) of responses, summed over their tokens or their mean."""
    return [_log_ratio(one, other, over, beta) for one, other in zip(policy, against, strict=True)]


def _log_ratio(policy: Answer, against: Answer, over: Over, beta: float) -> Score | Unread:
    if isinstance(policy, Unread):
        return policy
    if isinstance(against, Unread):
        return against
    # Each model counts by its own tokens: only where both read alike are the numbers the same.
    logps = [one.values[0] / (one.tokens if over == "mean" else 1) for one in (policy, against)]
    value = beta * (logps[0] - logps[1])
    return Score(value, {"log-ratio": logps[0] - logps[1], "score": value, "tokens": float(policy.tokens)})
