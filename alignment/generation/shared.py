"""Answering with prompts computed once: every forward pass is one row of tokens without padding.

For architectures that `structure.of` lets in: their positions and masks are told, and all attention is done here.
Whoever finishes leaves at once, and when enough places are free the next prompts begin beside those under way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from alignment.generation.cohort import Cohort
from alignment.generation.draw import pick
from alignment.generation.rows import Asked, Room, Row
from alignment.sampling import Sampling
from alignment.training import attention
from alignment.training.structure import Structure

if TYPE_CHECKING:
    from transformers import PreTrainedModel

PROMPT_TOKENS = 512  # of prompts in one forward pass: more gains nothing on a CPU, and whoever stops waits for it
Windowed = Callable[[int | None, int, Tensor, Tensor, Tensor, float | None], Tensor]
"""Attention (`attention.Attend`) within a window, or without one."""
FREE_SHARE = 4  # new prompts begin when one place in so many is free


class Shared:
    """Answers the prompts with a model whose attention is ours."""

    def __init__(self, model: PreTrainedModel, structure: Structure, ends: frozenset[int], sampling: Sampling) -> None:
        self._model = model
        self._structure = structure
        self._ends = ends
        self._sampling = sampling
        self._device = next(model.parameters()).device
        self._cohorts: list[Cohort] = []

    def answer(self, asked: Sequence[Asked], room: Room) -> Iterator[None]:
        """Give rows their next tokens, turn by turn, until all are finished."""
        waiting = list(reversed(asked))
        while waiting or self._cohorts:
            if chosen := self._chosen(waiting, room):
                yield from self._begin(chosen)
            if self._cohorts:
                self._step()
                yield

    def _chosen(self, waiting: list[Asked], room: Room) -> list[Asked]:
        """The next prompts, taken from the end of those that wait, for which there is room."""
        rows = room.rows - sum(len(cohort.rows) for cohort in self._cohorts)
        if self._cohorts and rows * FREE_SHARE < room.rows:
            return []
        tokens = room.tokens - sum(cohort.tokens for cohort in self._cohorts)
        widest = 0
        chosen: list[Asked] = []
        while waiting:
            widest = max(widest, len(waiting[-1].ids))
            some = [*chosen, waiting[-1]]
            need = len(some) * widest + sum(len(one.rows) * one.longest for one in some)
            rows -= len(waiting[-1].rows)
            if (rows < 0 or need > tokens) and (chosen or self._cohorts):
                break
            chosen.append(waiting.pop())
        return chosen

    def _begin(self, asked: list[Asked]) -> Iterator[None]:
        """Compute prompts, and draw the first token of each of their rows."""
        cohort = Cohort(asked, self._device)
        for start, stop in _passes(asked):
            some = asked[start:stop]
            rows = [row for one in some for row in one.rows]
            lengths = [len(one.ids) for one in some]
            spans = [slice(end - length, end) for length, end in zip(lengths, _ends(lengths), strict=True)]
            ids = torch.tensor([[token for one in some for token in one.ids]])
            positions = torch.cat([torch.arange(length) for length in lengths])[None]
            last = torch.tensor(_ends(lengths)) - 1
            logits = self._logits(ids, positions, last, partial(_read, cohort, start, spans))
            prompts = [index for index, one in enumerate(some) for _ in one.rows]
            self._draw(logits[torch.tensor(prompts, device=self._device)], rows)
            yield
        cohort.drop()
        if cohort.rows:
            self._cohorts.append(cohort)

    def _step(self) -> None:
        """The next token of every row."""
        rows = [row for cohort in self._cohorts for row in cohort.rows]
        ids = torch.tensor([[row.produced[-1] for row in rows]])
        positions = torch.cat([cohort.positions() for cohort in self._cohorts])[None]
        logits = self._logits(ids, positions, 0, self._attend)
        for cohort in self._cohorts:
            cohort.write()
        self._draw(logits, rows)
        for cohort in self._cohorts:
            cohort.drop()
        self._cohorts = [cohort for cohort in self._cohorts if cohort.rows]

    @torch.no_grad()
    def _logits(self, ids: Tensor, positions: Tensor, keep: int | Tensor, attend: Windowed) -> Tensor:
        """Logits (N, V) of one row of tokens (1, T), each with its position."""
        masks = {window: attention.instead(partial(attend, window)) for window in self._structure.distinct}
        out = self._model(
            input_ids=ids.to(self._device),
            attention_mask=self._structure.mask(masks),
            position_ids=positions.to(self._device),
            use_cache=False,
            logits_to_keep=keep if isinstance(keep, int) else keep.to(self._device),
        )
        logits: Tensor = out.logits[0]
        return logits

    def _attend(
        self, window: int | None, layer: int, query: Tensor, key: Tensor, value: Tensor, scale: float | None
    ) -> Tensor:
        queries, keys, values = (one[0].transpose(0, 1) for one in (query, key, value))
        done, start = [], 0
        for cohort in self._cohorts:
            of = slice(start, start + len(cohort.rows))
            done.append(cohort.attend(layer, window, queries[of], keys[of], values[of], scale))
            start = of.stop
        return torch.cat(done)[None]

    def _draw(self, logits: Tensor, rows: list[Row]) -> None:
        uniforms = torch.tensor([row.uniform for row in rows], dtype=torch.float64)
        for row, token in zip(rows, pick(logits, self._sampling, uniforms.to(self._device)).tolist(), strict=True):
            row.accept(token, self._ends)


def _read(
    cohort: Cohort,
    first: int,
    spans: list[slice],
    window: int | None,
    layer: int,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    scale: float | None,
) -> Tensor:
    """Attention of prompts, each by itself, whose keys and values the cohort keeps; the first has number `first`."""
    done = []
    for index, span in enumerate(spans):
        keys, values = key[:, :, span], value[:, :, span]
        cohort.keep(layer, first + index, keys[0], values[0])
        groups = query.shape[1] // keys.shape[1]
        mask = _band(keys.shape[2], window, query.device)
        done.append(
            scaled_dot_product_attention(
                query[:, :, span],
                keys.repeat_interleave(groups, dim=1),
                values.repeat_interleave(groups, dim=1),
                mask,
                is_causal=mask is None,
                scale=scale,
            )
        )
    return torch.cat(done, dim=2).transpose(1, 2)


def _band(length: int, window: int | None, device: torch.device) -> Tensor | None:
    """Which tokens of a prompt see which (P, P); None where nothing but causality hides any."""
    if window is None or length <= window:
        return None
    seen = torch.ones(length, length, dtype=torch.bool, device=device)
    return seen.tril_().triu_(1 - window)


def _ends(lengths: list[int]) -> list[int]:
    return [sum(lengths[: index + 1]) for index in range(len(lengths))]


def _passes(asked: Sequence[Asked]) -> Iterator[tuple[int, int]]:
    """First and last but one of the prompts that are computed together."""
    start = size = 0
    for index, one in enumerate(asked):
        if index > start and size + len(one.ids) > PROMPT_TOKENS:
            yield start, index
            start, size = index, 0
        size += len(one.ids)
    yield start, len(asked)
