"""A language model on this machine judges in words: what it is asked, and how it is read, is `alignment.judges.llm`'s.

Nothing is drawn. Where it does not explain itself, the probabilities of the letters of a verdict are read from the
model, with no text written; where it does, its likeliest words are written, and then the letters are read in the place
of the one that it wrote.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import cast

from alignment.chat import Unrenderable
from alignment.generation import Generator, PromptTooLong, Response
from alignment.judges.judge import NoReply, Reply, Token
from alignment.judges.letters import LETTERS, verdict_in
from alignment.judges.scored import Question, Unread
from alignment.sampling import Sampling
from alignment.scores import Reader

LEAST = 0.01  # of the probability of all letters together: below it, the model answers something else
UNREADABLE = "The judging model cannot read this match."
Messages = Sequence[Mapping[str, str]]


class Words:
    """A model that replies to questions of judges; `check` may raise to end the work, `stop` leaves off writing."""

    def __init__(
        self,
        reader: Reader,
        *,
        explain: bool,
        check: Callable[[], None] = lambda: None,
        stop: Callable[[], bool] = lambda: False,
    ) -> None:
        self._reader, self._explain, self._check, self._stop = reader, explain, check, stop

    def replies(self, questions: Sequence[Messages], max_tokens: int) -> list[Reply | NoReply]:
        """A reply to each question, or why there is none."""
        if not self._explain:
            return self._letters(questions, [""] * len(questions))
        found = self._written(questions, max_tokens)
        self._check()
        begun = {place: _begun(one) for place, one in enumerate(found) if isinstance(one, Reply)}
        places = {place: start for place, start in begun.items() if start is not None}
        read = self._letters([questions[place] for place in places], list(places.values()))
        for (place, start), letters in zip(places.items(), read, strict=True):
            if isinstance(letters, Reply) and letters.tokens:
                written = cast("Reply", found[place])
                rest = written.text.rstrip()[len(start) + 1 :]
                letter = Token(written.text[len(start)], letters.tokens[0].likeliest)
                found[place] = written._replace(tokens=(letter, Token(rest, ())))
        return found

    def _letters(self, questions: Sequence[Messages], begun: Sequence[str]) -> list[Reply | NoReply]:
        """The likeliest letter to follow what is begun of each reply, and how likely each is."""
        asked = [
            Question(question, [start + letter for letter in LETTERS], whole=False)
            for question, start in zip(questions, begun, strict=True)
        ]
        return [self._letter(answers, start) for answers, start in zip(self._told(asked), begun, strict=True)]

    def _told(self, asked: Sequence[Question]) -> list[list[float] | Unread]:
        found: list[list[float] | Unread] = []
        for answers in self._reader.tell(asked, self._check):
            unread = [one for one in answers if isinstance(one, Unread)]
            found.append(unread[0] if unread else [one.values[0] for one in answers if not isinstance(one, Unread)])
        return found

    def _letter(self, logps: list[float] | Unread, begun: str) -> Reply | NoReply:
        if isinstance(logps, Unread):
            return NoReply(logps.reason, UNREADABLE)
        mass = math.fsum(math.exp(one) for one in logps)
        if not begun and mass < LEAST:
            return Reply(f"The letters A, B and C together have a probability of {mass:.2g}.")
        # What is begun is in all of them, and may be too improbable for a float.
        likeliest = tuple(zip(LETTERS, (one - max(logps) if begun else one for one in logps), strict=True))
        letter, _ = max(likeliest, key=lambda one: one[1])
        return Reply(letter, tokens=(Token(letter, likeliest),))

    def _written(self, questions: Sequence[Messages], max_tokens: int) -> list[Reply | NoReply]:
        generator = Generator.of(self._reader.model, self._reader.tokenizer)
        sampling = Sampling(temperature=0.0, max_new_tokens=max_tokens)
        try:
            found = generator.generate(questions, sampling, stop=self._stop, cut=False) if questions else []
        except (PromptTooLong, Unrenderable) as error:
            if len(questions) == 1:
                return [NoReply(f"{error}".capitalize() + ".", UNREADABLE)]
            half = len(questions) // 2
            return [*self._written(questions[:half], max_tokens), *self._written(questions[half:], max_tokens)]
        return [_replied(one) for one in found]


def _replied(response: Response) -> Reply:
    return Reply(response.text, response.finish == "end")


def _begun(reply: Reply) -> str | None:
    """What stands before the letter of the reply's verdict; None where that is not one place."""
    said, text = verdict_in(reply.text), reply.text.rstrip()
    if said is None:
        return None
    begun = text[: len(text) - len(said.rest) - 1]
    return begun if text == f"{begun}{said.letter}{said.rest}" else None
