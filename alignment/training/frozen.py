"""Checkpoints in which nothing is trained, loaded to say something of responses, and how what they say is read."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch

from alignment.objectives import Batch, Role
from alignment.training.head import HeadScorer
from alignment.training.model import load_model, load_reward_model
from alignment.training.scorer import Scorer

if TYPE_CHECKING:
    from torch import Tensor

    from alignment.training.encode import Encoded
    from alignment.training.kinds.scored import RewardLoss


def language_model(folder: Path, dtype: torch.dtype, precision: str) -> Scorer:
    """What gives log-probabilities of responses under a language model.  Raises CheckpointRefused."""
    model = load_model(folder, dtype)
    model.requires_grad_(False)
    return Scorer(model, precision)


def reward_model(folder: Path, loss: RewardLoss, padding: int, dtype: torch.dtype, precision: str) -> HeadScorer:
    """What gives the numbers of a reward model's head, which `loss` reads.  Raises CheckpointRefused."""
    model = load_reward_model(folder, loss.labels, padding, dtype)
    model.requires_grad_(False)
    return HeadScorer(model, precision, loss)


def rewards(loss: RewardLoss, example: Encoded, said: Tensor) -> Tensor:
    """The scores (K,) of an example's responses, from what a head says of them."""
    count = len(said)
    roles = example.roles if Role.CHOSEN in example.roles else (Role.CANDIDATE,) * count
    lengths = torch.tensor([float(len(answer)) for answer in example.responses])
    batch = Batch(said, lengths, torch.zeros(count, dtype=torch.long), torch.tensor([int(role) for role in roles]))
    return loss.rewards(batch)
