"""What every judge is: settings as fields, matches in, verdicts out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Literal, NamedTuple
from uuid import UUID

from alignment.parts import NamedPart

DecidedBy = Literal["part", "people", "model", "scores"]
"""Who decides: the part itself, people in the browser, a model that is asked in words, or models that score answers."""
AskedKind = Literal["model", "language_model", "reward_model"]
"""What a checkpoint must be: one that answers (an endpoint or a language model here), one of the two kinds here."""


class Asked(NamedTuple):
    """A checkpoint that a judge asks, and what it must be."""

    checkpoint: UUID
    kind: AskedKind


class Match(NamedTuple):
    """A prompt (chat messages, the last from the user) and two responses' texts, in the order they are shown.

    `expects` is what a good answer to this prompt must keep (`judges.prompt_checks.Expected`), where that is known.
    """

    prompt: Sequence[Mapping[str, Any]]
    first: str
    second: str
    expects: Mapping[str, Any] | None = None


class Verdict(NamedTuple):
    """What a judge says of one match.

    `probability` is that of the first response winning, in [0, 1] (0.5: a tie), or None with a `reason` in words.
    `scores` are what was measured on the first and on the second response, by name; empty when nothing was.
    """

    probability: float | None
    reason: str | None = None
    text: str = ""
    scores: tuple[Mapping[str, float], Mapping[str, float]] = ({}, {})

    @classmethod
    def undecided(cls, reason: str, text: str = "") -> Verdict:
        """No decision, and why."""
        return cls(None, reason, text)


class Token(NamedTuple):
    """A token of a reply, and the likeliest ones in its place (itself among them) with their log-probabilities."""

    text: str
    likeliest: Sequence[tuple[str, float]]


class Reply(NamedTuple):
    """What a model answered; `tokens` are empty when it told no log-probabilities."""

    text: str
    ended: bool = True
    tokens: Sequence[Token] = ()


REFUSED = "The judge's endpoint refuses this match."


class NoReply(Exception):
    """The model refuses this one question; others may pass. `detail` is what it says, `reason` what that means."""

    def __init__(self, detail: str, reason: str = REFUSED) -> None:
        super().__init__(detail)
        self.detail, self.reason = detail, reason


Ask = Callable[[Sequence[Mapping[str, str]], int], Reply]
"""Puts chat messages to a model and gives its reply of at most so many tokens.  Raises NoReply."""
AskAll = Callable[[Sequence[Sequence[Mapping[str, str]]], int], Sequence[Reply | NoReply]]
"""The same for several questions at once."""


class Judge(NamedPart):
    """A way to decide matches. Its fields are its settings; the one who asks swaps the sides, not the judge."""

    title: ClassVar[str]
    decided_by: ClassVar[DecidedBy] = "part"
    mend: ClassVar[str] = "Mend its template, its model or its endpoint"
    """What to do where it decides nothing."""

    def knows(self, prompt: Sequence[Mapping[str, Any]]) -> bool:  # noqa: ARG002  (most know all)
        """Whether it can decide any match on this prompt."""
        return True

    def decide(self, matches: Sequence[Match]) -> list[Verdict]:
        """One verdict per match, in order."""
        raise NotImplementedError

    @property
    def asks(self) -> dict[str, Asked]:
        """The checkpoints that it asks, by the path of the field that names each."""
        return {}

    @property
    def automatic(self) -> bool:
        """Whether `decide` decides; otherwise people do, in the browser."""
        return self.decided_by != "people"

    @classmethod
    def describe(cls) -> dict[str, Any]:
        """What the API and the form show of this judge, as plain JSON."""
        return {
            "name": cls.name,
            "title": cls.title,
            "summary": (cls.__doc__ or "").strip().splitlines()[0],
            "decided_by": cls.decided_by,
            "schema": cls.model_json_schema(),
        }
