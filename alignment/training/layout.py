"""How examples lie in the rows of a forward pass, and where in them a response's tokens are predicted.

Shared: one row holds every example of the pack, each as its prompt once and then its responses (one with
a prompt of its own follows that, as if it were another example); positions restart after the prompt for each response,
and a token sees its own prompt and its own response only (`blocks.Sight`).
Plain: each response is a row of its own, its prompt before it, padded on the right; causality keeps padding from
what stands before it, so there is no mask.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from alignment.training import attention, blocks
from alignment.training.blocks import Sight

if TYPE_CHECKING:
    from alignment.objectives import Cut
    from alignment.training.cutting import Steps
    from alignment.training.encode import Encoded
    from alignment.training.structure import Structure, Way

NOTHING = -1  # no token


@dataclass(frozen=True)
class Layout:
    """A pack as tensors: R rows of T tokens, S responses with P tokens between them.

    `source` (P,) counts positions of the flattened rows: the hidden state there predicts `target` (P,), a token of
    response `response` (P,).  `positions` (R, T) are None where they count from 0 in each row, which models assume by
    themselves.  `masks` (1, 1, T, T) are additive, or have no places and say how or by whom attention is computed, by
    window (None: every earlier token may be seen).  `weights` (R * T,) says in how many of the sequences each token
    stands: 0 for padding.  `last` (S,) counts positions of the flattened rows too: of each response's `last_token`.
    `steps` are those of the responses where somebody asks about them, by the way they are cut.
    """

    ids: Tensor
    positions: Tensor | None
    source: Tensor
    target: Tensor
    response: Tensor
    lengths: Tensor
    masks: dict[int | None, Tensor]
    weights: Tensor
    last: Tensor
    steps: Mapping[Cut, Steps] = field(default_factory=dict)


def last_token(response: Sequence[int], padding: int) -> int:
    """Where in a response its last token stands that is no padding, which some tokenizers write ends with: there
    transformers' sequence classifiers look.  The very last where all of them are."""
    return next((place for place in range(len(response) - 1, -1, -1) if response[place] != padding), len(response) - 1)


def shared(examples: Sequence[Encoded], rows: Structure, device: torch.device, padding: int = NOTHING) -> Layout:
    """The examples in one row, prompts once, with a mask for each kind of attention window that the rows have."""
    ids: list[int] = []
    positions: list[int] = []
    source: list[int] = []
    target: list[int] = []
    lengths: list[int] = []
    sizes: list[int] = []  # of every segment: an example's prompt, then its responses
    prompts: list[int] = []  # the segment that stands before each one
    weights: list[float] = []
    last: list[int] = []
    spans: list[tuple[slice, slice | None]] = []
    for part in (part for example in examples for part in example.parts):
        prompt, before = slice(len(ids), len(ids) + len(part.prompt)), len(sizes)
        for segment, tokens in enumerate((part.prompt, *part.responses)):
            first, offset = len(ids), len(part.prompt) if segment else 0
            ids += tokens
            positions += range(offset, offset + len(tokens))
            sizes.append(len(tokens))
            spans.append((slice(first, first + len(tokens)), prompt if segment else None))
            prompts.append(before)
            weights += [1.0 if segment else float(len(part.responses))] * len(tokens)
            if segment:
                source += (prompt.stop - 1, *range(first, first + len(tokens) - 1))
                target += tokens
                lengths.append(len(tokens))
                last.append(first + last_token(tokens, padding))
    placed = torch.tensor(positions)
    counts = torch.tensor(lengths)
    segments = torch.tensor(sizes), torch.tensor(prompts)
    masks = {}
    for window in rows.distinct:
        seen = blocks.sight(*segments, window).to(device)
        parts = rows.way == "parts"
        masks[window] = attention.by_parts(seen, spans, windowed=window is not None) if parts else _mask(seen, rows.way)
    return Layout(
        ids=torch.tensor([ids], device=device),
        positions=placed[None].to(device),
        source=torch.tensor(source, device=device),
        target=torch.tensor(target, device=device),
        response=torch.arange(len(lengths)).repeat_interleave(counts).to(device),
        lengths=counts.float().to(device),
        masks=masks,
        weights=torch.tensor(weights, device=device),
        last=torch.tensor(last, device=device),
    )


def _mask(seen: Sight, way: Way) -> Tensor:
    if way == "blocks":
        return attention.instead(partial(blocks.attend, blocks.mask(seen)))
    allowed = seen.mask()
    return torch.zeros(allowed.shape, device=allowed.device).masked_fill_(~allowed, attention.NOT_SEEN)[None, None]


def plain(examples: Sequence[Encoded], padding: int, device: torch.device) -> Layout:
    """Each response with its prompt as a row, padded on the right with `padding`."""
    parts = (part for example in examples for part in example.parts)
    return rows([(part.prompt, answer) for part in parts for answer in part.responses], padding, device)


def rows(rows: Sequence[tuple[list[int], list[int]]], padding: int, device: torch.device) -> Layout:
    """The same for prompts and responses as token ids."""
    width = max(len(prompt) + len(answer) for prompt, answer in rows)
    ids = torch.full((len(rows), width), padding)
    source: list[int] = []
    target: list[int] = []
    weights = torch.zeros(ids.shape)
    last: list[int] = []
    for row, (prompt, answer) in enumerate(rows):
        end = len(prompt) + len(answer)
        ids[row, :end] = torch.tensor(prompt + answer)
        weights[row, :end] = 1
        source += range(row * width + len(prompt) - 1, row * width + end - 1)
        target += answer
        last.append(row * width + len(prompt) + last_token(answer, padding))
    counts = torch.tensor([len(answer) for _, answer in rows])
    return Layout(
        ids=ids.to(device),
        positions=None,
        source=torch.tensor(source, device=device),
        target=torch.tensor(target, device=device),
        response=torch.arange(len(rows)).repeat_interleave(counts).to(device),
        lengths=counts.float().to(device),
        masks={},
        weights=weights.flatten().to(device),
        last=torch.tensor(last, device=device),
    )
