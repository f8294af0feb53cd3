"""Scores of given responses: those of a reward model, or a language model's implicit rewards.

An implicit reward is beta times the log-ratio of a response under a checkpoint and what it was trained from (Rafailov
et al. 2023, arXiv 2305.18290, section 4). Texts are rendered, cut and computed as training does it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from alignment import chat
from alignment.objectives import Role, rewards
from alignment.training import folder as folders
from alignment.training import frozen, others
from alignment.training.batches import auto_tokens
from alignment.training.data import Example
from alignment.training.encode import Encoded, Encoder
from alignment.training.errors import BadData, CheckpointRefused
from alignment.training.kinds.sft import SFT
from alignment.training.model import load_generation_config, load_tokenizer
from alignment.training.ranks import Ranks, alone
from alignment.training.rows import arrange
from alignment.training.scoring import Scoring
from alignment.training.spec import Length
from alignment.training.step import sequence_logps

if TYPE_CHECKING:
    from torch import Tensor

    from alignment.training.scoring import AnyScorer

Message = dict[str, Any]
LENGTH = Length(max_prompt_tokens=4096, max_response_tokens=4096)
UNTOLD = "Its responses are empty or all the same, as this checkpoint reads them."


class Asked(NamedTuple):
    """A prompt (chat messages, the last from the user) and the responses to it, as messages."""

    prompt: Sequence[Message]
    responses: Sequence[Message]


class Scored(NamedTuple):
    """A score of each response, the higher the better; without scores the reason, in words.

    The difference of two scores is the log-odds that the first response is better.
    """

    scores: tuple[float, ...] | None
    reason: str | None = None


class Scorer:
    """A reward model, or a language model beside what it is measured against, ready to score responses."""

    def __init__(
        self, folder: Path, against: Path | None = None, beta: float = rewards.BETA, device: str | None = None
    ) -> None:
        """Load the folders; `against` and `beta` are those of an implicit reward.  Raises CheckpointRefused."""
        self._ranks = alone() if device is None else Ranks(torch.device(device))
        self._tokenizer = load_tokenizer(folder)
        ending = chat.ending(self._tokenizer, load_generation_config(folder))
        self._encoder = Encoder(self._tokenizer, ending, LENGTH, folders.inspect(folder).max_tokens)
        self._beta = beta
        self._loss = folders.reading_of(folder) if folders.is_reward_model(folder) else None
        self._against: Scoring | None = None
        if self._loss is None:
            if against is None:
                raise CheckpointRefused(
                    f"{folder.name} is a language model, whose reward is how much likelier it makes a response than"
                    " what it was trained from.",
                    "Name that checkpoint as the reference, or choose a reward model.",
                    "reference",
                )
            others.require_same_vocabulary("reference", against, self._tokenizer, "the checkpoint")
            self._against = self._scoring(frozen.language_model(against, *self._arithmetic))
            self._model = self._scoring(frozen.language_model(folder, *self._arithmetic))
        else:
            self._model = self._scoring(frozen.reward_model(folder, self._loss, self._padding, *self._arithmetic))

    @property
    def comparable(self) -> bool:
        """Whether every response has a score of its own; otherwise there are scores of two responses alone."""
        return self._loss is None or self._loss.comparable

    def score(self, asked: Sequence[Asked], check: Callable[[], None] = lambda: None) -> list[Scored]:
        """What it thinks of the responses to each prompt, in order.

        `check` is called between batches, and what it raises ends the scoring.  Raises CheckpointRefused where a score
        is no number, TemplateHeld.
        """
        found = [Scored(None, UNTOLD)] * len(asked)
        encoded = self._encoded([_example(number, one) for number, one in enumerate(asked)], found, check)
        for one, scores in zip(encoded, self._scores(encoded, check), strict=True):
            if not bool(scores.isfinite().all()):
                raise CheckpointRefused(
                    "What the checkpoint says of a response is no number.",
                    "Choose another one; a run that diverged leaves such weights.",
                    "checkpoint",
                )
            found[int(one.example.id)] = Scored(tuple(scores.tolist()))
        return found

    def _encoded(self, examples: list[Example], found: list[Scored], check: Callable[[], None]) -> list[Encoded]:
        """The examples as token ids; in `found` is noted why one cannot be read."""
        try:
            return self._encoder.encode(examples, check).train
        except BadData as error:
            if len(examples) == 1:
                found[int(examples[0].id)] = Scored(None, error.detail.partition(": ")[2] or error.detail)
                return []
            return [one for example in examples for one in self._encoded([example], found, check)]

    def _scores(self, encoded: list[Encoded], check: Callable[[], None]) -> list[Tensor]:
        said = sequence_logps(self._model, encoded, check)
        if self._loss is not None:
            return [frozen.rewards(self._loss, one, head) for one, head in zip(encoded, said, strict=True)]
        assert self._against is not None  # noqa: S101  (refused at first)
        before = sequence_logps(self._against, encoded, check)
        return [self._beta * (now - then) for now, then in zip(said, before, strict=True)]

    @property
    def _arithmetic(self) -> tuple[torch.dtype, str]:
        cpu = self._ranks.device.type == "cpu"
        return (torch.float32, "fp32") if cpu else (torch.bfloat16, "bf16")

    @property
    def _padding(self) -> int:
        ids = self._tokenizer.pad_token_id, self._tokenizer.eos_token_id
        return next(int(one) for one in ids if isinstance(one, int))

    def _scoring(self, scorer: AnyScorer) -> Scoring:
        device = self._ranks.device
        scorer.to(device)
        rows, tokens = arrange(scorer.model, device), auto_tokens(device.type)
        return Scoring(scorer, scorer, SFT(), rows, self._padding, tokens, self._ranks)


def _example(number: int, asked: Asked) -> Example:
    count = len(asked.responses)
    roles = (Role.CHOSEN, Role.REJECTED) if count == 2 else (Role.CANDIDATE,) * count
    return Example(str(number), "train", list(asked.prompt), tuple(asked.responses), roles)
