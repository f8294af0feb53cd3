"""Answering through transformers' own caches: for architectures of which we do not know that ours would be exact.

A row of prompts is padded on the left only where nothing but attention with steady positions looks back; where a layer
carries a state, or rotary positions change with the length, prompts of one length are answered together and no others.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from alignment.generation.draw import pick
from alignment.generation.rows import Asked, Room, Row
from alignment.sampling import Sampling
from alignment.training import structure

if TYPE_CHECKING:
    from transformers import PreTrainedModel

CACHES = ("past_key_values", "cache_params")
"""What models call their caches; whatever keeps none by these names reads everything again for each token."""


class Plain:
    """Answers the prompts as transformers does."""

    def __init__(self, model: PreTrainedModel, padding: int, ends: frozenset[int], sampling: Sampling) -> None:
        self._model = model
        self._padding = padding
        self._ends = ends
        self._sampling = sampling
        self._device = next(model.parameters()).device
        self._padded = structure.looks_back_by_attention(model)
        adapted: Any = model
        self._inner: Any = adapted.get_base_model() if hasattr(model, "get_base_model") else adapted
        self._takes = frozenset(inspect.signature(self._inner.forward).parameters)

    def answer(self, asked: Sequence[Asked], room: Room) -> Iterator[None]:
        """Give rows their next tokens, turn by turn, until all are finished."""
        for group in self._groups(asked, room):
            yield from self._advance(group)

    def _groups(self, asked: Sequence[Asked], room: Room) -> Iterator[list[Asked]]:
        """Prompts of like length with as many rows as there is room for."""
        group: list[Asked] = []
        for one in asked:
            some = [*group, one]
            rows = sum(len(each.rows) for each in some)
            size = rows * (len(some[0].ids) + max(each.longest for each in some))
            alike = self._padded or len(one.ids) == len(some[0].ids)
            if group and (rows > room.rows or size > room.tokens or not alike):
                yield group
                some = [one]
            group = some
        if group:
            yield group

    @torch.no_grad()
    def _advance(self, asked: list[Asked]) -> Iterator[None]:
        """Read the prompts, then give every unfinished row its next token, once per turn, until all are finished."""
        rows = [row for one in asked for row in one.rows]
        ids, mask = self._left_padded(asked)
        keep = torch.tensor([index for index, one in enumerate(asked) for _ in one.rows], device=self._device)
        logits, cache = self._read(ids, mask, {})
        while True:
            logits, ids, mask, cache = logits[keep], ids[keep], mask[keep], _selected(cache, keep)
            while True:
                ids = torch.cat([ids, self._draw(logits, rows)], dim=1)
                mask = torch.cat([mask, mask.new_ones(len(rows), 1)], dim=1)
                yield
                going = [index for index, row in enumerate(rows) if row.finish is None]
                if not going:
                    return
                logits, cache = self._read(ids, mask, cache)
                if 2 * len(going) <= len(rows):
                    break
            keep = torch.tensor(going, device=self._device)
            rows = [rows[index] for index in going]

    def _read(self, ids: Tensor, mask: Tensor, cache: dict[str, Any]) -> tuple[Tensor, dict[str, Any]]:
        """Logits (N, V) after the last of the tokens (N, T), of which a cache may have all but that one.

        The architecture says what it wants to be given: some drop the mask once they have a state, or the cache when
        their rotary positions change.
        """
        given = {"position_ids": (mask.cumsum(1) - 1).clamp(min=0), "logits_to_keep": 1}
        inputs = self._inner.prepare_inputs_for_generation(
            ids,
            attention_mask=mask,
            use_cache=True,
            next_sequence_length=1 if cache else None,
            is_first_iteration=not cache,
            **cache,
            **{name: value for name, value in given.items() if name in self._takes},
        )
        out = self._model(**inputs)
        return out.logits[:, -1], {name: out[name] for name in CACHES if name in out}

    def _draw(self, logits: Tensor, rows: list[Row]) -> Tensor:
        """The next token of each row (N, 1)."""
        uniforms = torch.tensor([row.uniforms[min(len(row.produced), row.limit - 1)] for row in rows])
        tokens = pick(logits, self._sampling, uniforms.to(self._device))
        for row, token in zip(rows, tokens.tolist(), strict=True):
            if row.finish is None:
                row.accept(token, self._ends)
        return tokens[:, None]

    def _left_padded(self, asked: list[Asked]) -> tuple[Tensor, Tensor]:
        width = max(len(one.ids) for one in asked)
        ids = torch.full((len(asked), width), self._padding)
        mask = torch.zeros((len(asked), width), dtype=torch.long)
        for index, one in enumerate(asked):
            ids[index, width - len(one.ids) :] = torch.tensor(one.ids)
            mask[index, width - len(one.ids) :] = 1
        return ids.to(self._device), mask.to(self._device)


def _selected(cache: dict[str, Any], rows: Tensor) -> dict[str, Any]:
    """The cache with these rows, of which one may occur several times."""
    for kept in cache.values():
        kept.reorder_cache(rows)
    return cache
