"""What a checkpoint on this machine says of responses: scores, or the log-probabilities of a language model.

A response is read whole or not at all: what does not fit into the model's context beside its prompt, and what its chat
template refuses, is `Unread` with a reason, never cut and never a number. Prompts are computed once for all their
responses where the architecture allows.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from alignment import chat
from alignment.judges.scored import Answer, Question, Told, Unread
from alignment.objectives import Batch, Role
from alignment.training import folder as folders
from alignment.training import frozen
from alignment.training.batches import auto_tokens
from alignment.training.data import Example
from alignment.training.encode import Encoded
from alignment.training.kinds.scored import Scored
from alignment.training.kinds.sft import SFT
from alignment.training.model import load_generation_config, load_tokenizer
from alignment.training.ranks import Ranks
from alignment.training.rows import arrange, checked
from alignment.training.scoring import Scoring
from alignment.training.step import sequence_logps

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel

    from alignment.training.kinds.scored import RewardLoss
    from alignment.training.scoring import AnyScorer

AT_ONCE = 64  # prompts that are rendered together: one that its template refuses has the others rendered again
NO_NUMBER = "What the checkpoint says of this response is no number."
EMPTY = "There is nothing left of it once it is rendered."
NOT_TEXT = "The prompt holds something other than text."


class Reader:
    """A checkpoint that is ready to be asked about responses.

    Of a reward model (`scores` is True) `Told.values` are the scores of its heads: those of a run of ours, or of any
    folder that transformers loads as a sequence classifier with one label. One that only compares two responses
    (general preferences) gives half of the log-odds to each of two.  Of a language model they are one number: the sum
    over the response's tokens, its end included, of their log-probabilities in nats.
    """

    def __init__(self, folder: Path, device: str | None = None) -> None:
        """Load a checkpoint folder, in float32 on a CPU and in bf16 elsewhere.  Raises CheckpointRefused."""
        place = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        dtype = torch.float32 if place.type == "cpu" else torch.bfloat16
        self.scores = folders.is_reward_model(folder)
        self._loss: RewardLoss | None = folders.reading_of(folder) if self.scores else None
        self.tokenizer = load_tokenizer(folder)
        self._ending = chat.ending(self.tokenizer, load_generation_config(folder))
        self._context = folders.inspect(folder).max_tokens
        pads = (self.tokenizer.pad_token_id, self.tokenizer.eos_token_id)
        padding = next(int(one) for one in pads if isinstance(one, int))
        self._scoring = _scoring(folder, self._loss, place, dtype, padding)
        self._checked = False

    @property
    def model(self) -> PreTrainedModel:
        """The model itself, in evaluation mode."""
        return self._scoring.scorer.model

    @property
    def compares(self) -> bool:
        """Whether it says which of two responses is better, and gives none a score of its own."""
        return self._loss is not None and not self._loss.comparable

    def tell(self, questions: Sequence[Question], check: Callable[[], None] = lambda: None) -> list[list[Answer]]:
        """What is said of each question's responses, in order; one prompt in several questions is computed once.

        `check` is called between packs, and may raise to end the work.
        """
        asked: dict[tuple[str, bool], dict[str, Answer]] = {}
        prompts: dict[tuple[str, bool], Question] = {}
        keys = [(json.dumps(list(one.prompt), sort_keys=True, default=str), one.whole) for one in questions]
        for key, one in zip(keys, questions, strict=True):
            prompts.setdefault(key, one)
            asked.setdefault(key, {}).update(dict.fromkeys(one.responses, Unread(NO_NUMBER)))
        distinct = [one._replace(responses=tuple(asked[key])) for key, one in prompts.items()]
        for start in range(0, len(distinct), AT_ONCE):
            some = distinct[start : start + AT_ONCE]
            for key, answers in zip(list(prompts)[start : start + AT_ONCE], self._read(some, check), strict=True):
                asked[key] = dict(zip(asked[key], answers, strict=True))
        found = [[asked[key][text] for text in one.responses] for key, one in zip(keys, questions, strict=True)]
        return [self._judged(answers) for answers in found]

    def _read(self, questions: Sequence[Question], check: Callable[[], None]) -> list[list[Answer]]:
        """What the model gives for each response, before it is read as scores."""
        answers: list[list[Answer]] = [[Unread(NO_NUMBER)] * len(one.responses) for one in questions]
        places: list[list[int]] = []
        encoded: list[Encoded] = []
        for number, (prompt, responses) in self._encoded(questions, answers):
            fit = []
            for place, ids in enumerate(responses):
                if self._context is not None and len(prompt) + len(ids) > self._context:
                    answers[number][place] = Unread(_too_long(len(prompt), len(ids), self._context))
                elif not ids:
                    answers[number][place] = Unread(EMPTY)
                else:
                    fit.append(place)
            if fit:
                kept = tuple(responses[place] for place in fit)
                encoded.append(Encoded(_NOBODY, prompt, kept, (Role.CANDIDATE,) * len(kept)))
                places.append([number, *fit])
        for one, (number, *fit), said in zip(encoded, places, self._said(encoded, check), strict=True):
            for place, ids, values in zip(fit, one.responses, said.reshape(len(fit), -1).tolist(), strict=True):
                known = all(map(math.isfinite, values))
                answers[number][place] = Told(tuple(values), len(ids)) if known else Unread(NO_NUMBER)
        return answers

    def _said(self, encoded: Sequence[Encoded], check: Callable[[], None]) -> list[Tensor]:
        if encoded and not self._checked:
            self._scoring, self._checked = checked(self._scoring, encoded, _SILENT, check), True
        return sequence_logps(self._scoring, encoded, check)

    def _encoded(
        self, questions: Sequence[Question], answers: list[list[Answer]]
    ) -> Iterator[tuple[int, tuple[list[int], list[list[int]]]]]:
        """Number, prompt and responses as token ids of every question that can be rendered; of others why not."""
        turns = self._rendered(questions, answers)
        prompts = chat.encode(self.tokenizer, [turn.prompt for turn in turns.values()])
        sides = [(turn.prompt, text) for turn in turns.values() for text in turn.responses]
        ids = iter(chat.encode_responses(self.tokenizer, sides))
        for (number, turn), prompt in zip(turns.items(), prompts, strict=True):
            responses = [next(ids) for _ in turn.responses]
            if not prompt:
                answers[number] = [Unread(EMPTY)] * len(responses)
                continue
            whole = questions[number].whole
            yield number, (prompt, [self._ending.ids(answer) for answer in responses] if whole else responses)

    def _rendered(self, questions: Sequence[Question], answers: list[list[Answer]]) -> dict[int, chat.Turn]:
        """Prompts and responses as text, by the number of the question."""
        left = list(range(len(questions)))
        while left:
            asked = [
                chat.Dialogue(one.prompt, [{"role": "assistant", "content": text} for text in one.responses])
                if one.whole
                else chat.Dialogue(one.prompt)
                for one in (questions[number] for number in left)
            ]
            try:
                turns = chat.render(self.tokenizer, asked)
            except chat.UnsupportedContent as error:
                number, why = left.pop(error.index), NOT_TEXT
            except chat.Unrenderable as error:
                number, why = left.pop(error.index), f"It cannot be rendered: {error.reason}."
            else:
                texts = [questions[number].responses for number in left]
                return {
                    number: chat.Turn(turn.prompt, [self._ending.text(text) for text in turn.responses] or list(own))
                    for number, turn, own in zip(left, turns, texts, strict=True)
                }
            answers[number] = [Unread(why)] * len(questions[number].responses)
        return {}

    def _judged(self, answers: list[Answer]) -> list[Answer]:
        """The answers, those of a model that only compares as half of the log-odds for each of two."""
        loss = self._loss
        if loss is None or isinstance(loss, Scored):
            return answers
        told = [one for one in answers if isinstance(one, Told)]
        if len(told) != len(answers):
            return answers
        if len(told) != 2:
            return [Unread(f"{loss.title} compares two responses, and there are {len(told)}.")] * len(told)
        said = torch.tensor([one.values for one in told])
        roles = torch.tensor([int(Role.CHOSEN), int(Role.REJECTED)])
        lengths = torch.tensor([float(one.tokens) for one in told])
        halves = loss.rewards(Batch(said, lengths, torch.zeros(2, dtype=torch.long), roles)).tolist()
        return [Told((half,), one.tokens) for one, half in zip(told, halves, strict=True)]


class _Silent:
    """Takes what would be a line of a run's log."""

    def log(self, message: str, level: str = "info", **facts: object) -> None:
        """Keep nothing."""


_SILENT = _Silent()
_NOBODY = Example("", "train", [], ())  # of which only the token ids count


def _scoring(folder: Path, loss: RewardLoss | None, place: torch.device, dtype: torch.dtype, padding: int) -> Scoring:
    precision = "fp32" if dtype == torch.float32 else "bf16"
    if loss is None:
        scorer: AnyScorer = frozen.language_model(folder, dtype, precision)
    else:
        scorer = frozen.reward_model(folder, loss, padding, dtype, precision)
    scorer.to(place)
    rows = arrange(scorer.model, place, exact=scorer.exact)
    return Scoring(scorer, scorer, loss or SFT(), rows, padding, auto_tokens(place.type), Ranks(place))


def _too_long(prompt: int, response: int, context: int) -> str:
    return f"Prompt and response have {prompt:,} and {response:,} tokens; the checkpoint reads {context:,} at once."
