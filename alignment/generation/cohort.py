"""Rows that began to answer at the same time: keys and values of each prompt once, and a tail for each row.

All tails of a cohort are equally long, so that nothing in them is padding.  A row attends to its prompt together with
the other rows of that prompt, to its own tail by itself, and the two are joined by their log-sum-exps, which is exact
(Juravsky et al. 2024, arXiv 2402.05099, section 3.1).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from alignment.generation.partial import attend
from alignment.generation.rows import Asked

FIRST_TAIL = 32


class Cohort:
    """Prompts (G), the rows (R) that answer them and are not finished, and what their layers have kept."""

    def __init__(self, asked: Sequence[Asked], device: torch.device) -> None:
        self.rows = [row for one in asked for row in one.rows]
        self._prompt_of = [index for index, one in enumerate(asked) for _ in one.rows]
        self._lengths = [len(one.ids) for one in asked]
        self._limit = max(one.longest for one in asked)
        self._device = device
        self._written = 0  # tokens in each tail
        self._prompts: dict[int, tuple[Tensor, Tensor]] = {}  # by layer: keys and values (G, H, P, D)
        self._tails: dict[int, tuple[Tensor, Tensor]] = {}  # by layer: keys and values (R or more, H, T or more, D)
        self._kept = (len(self._lengths), len(self.rows))
        self._arrange()

    @property
    def tokens(self) -> int:
        """Tokens whose keys and values are kept or may yet be."""
        prompts, rows = self._kept
        return prompts * self._widest + rows * self._limit

    def positions(self) -> Tensor:
        """Where the next token of each row stands (R,)."""
        return self._starts + self._written

    def keep(self, layer: int, prompt: int, keys: Tensor, values: Tensor) -> None:
        """Keep a layer's keys and values (H, P, D) of a prompt."""
        if layer not in self._prompts:
            shape = (len(self._lengths), keys.shape[0], self._widest, keys.shape[2])
            self._prompts[layer] = keys.new_zeros(shape), values.new_zeros((*shape[:3], values.shape[2]))
        kept = self._prompts[layer]
        kept[0][prompt, :, : keys.shape[1]] = keys
        kept[1][prompt, :, : keys.shape[1]] = values

    def write(self) -> None:
        """Every layer has got the next token of each row."""
        self._written += 1
        self._masks.clear()

    def attend(
        self, layer: int, window: int | None, query: Tensor, key: Tensor, value: Tensor, scale: float | None
    ) -> Tensor:
        """What the rows' next tokens see: query (R, Hq, D), their key and value (R, H, D); (R, Hq, D) back."""
        rows, heads, size = query.shape
        keys, values = self._tail(layer, key, value)
        first = 0 if window is None else max(0, keys.shape[2] - window)
        grouped = query.view(rows, key.shape[1], -1, size)
        own, weight = attend(grouped, keys[:, :, first:], values[:, :, first:], None, scale)
        begin = self._begin(window)
        if begin < self._widest:
            shared, more = self._shared(layer, window, begin, grouped, scale)
            own = own.lerp(shared, (more - weight).sigmoid().unsqueeze(-1))
        return own.to(query.dtype).reshape(rows, heads, -1)

    def _shared(
        self, layer: int, window: int | None, begin: int, query: Tensor, scale: float | None
    ) -> tuple[Tensor, Tensor]:
        """What rows see of their prompts, query (R, H, N, D): the rows of a prompt are computed together."""
        prompts = len(self._lengths)
        keys, values = (kept[:prompts, :, begin : self._widest] for kept in self._prompts[layer])
        _, heads, count, size = query.shape
        if self._square is not None:
            query = query[self._square]
        query = query.view(prompts, -1, heads, count, size).transpose(1, 2).reshape(prompts, heads, -1, size)
        seen, weight = attend(query, keys, values, self._mask(window, begin, query.dtype), scale)
        seen = seen.view(prompts, heads, -1, count, seen.shape[-1]).transpose(1, 2).flatten(0, 1)
        weight = weight.view(prompts, heads, -1, count).transpose(1, 2).flatten(0, 1)
        return (seen, weight) if self._square is None else (seen[self._back], weight[self._back])

    def _tail(self, layer: int, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """All tails of a layer up to this token, whose key and value (R, H, D) are written there."""
        rows, at = len(self.rows), self._written
        keys, values = self._tails.get(layer, (None, None))
        if keys is None or values is None or at == keys.shape[2]:
            length = min(max(2 * at, FIRST_TAIL), self._limit)
            keys, values = _longer(keys, key, rows, length), _longer(values, value, rows, length)
            self._tails[layer] = keys, values
        keys[:rows, :, at], values[:rows, :, at] = key, value
        return keys[:rows, :, : at + 1], values[:rows, :, : at + 1]

    def _begin(self, window: int | None) -> int:
        """The first position of a prompt that any row still sees."""
        return 0 if window is None else max(0, min(self._lengths) + self._written + 1 - window)

    def _mask(self, window: int | None, begin: int, dtype: torch.dtype) -> Tensor | None:
        """What is added for the positions from `begin` of each prompt (G, 1, 1, P), the same in every layer."""
        if window not in self._masks:
            columns = torch.arange(begin, self._widest, device=self._device)
            ends = torch.tensor(self._lengths, device=self._device)[:, None]
            hidden = columns >= ends
            if window is not None:
                hidden |= columns <= ends + self._written - window
            mask = torch.zeros(hidden.shape, dtype=dtype, device=self._device)
            mask.masked_fill_(hidden, torch.finfo(dtype).min)
            self._masks[window] = mask[:, None, None] if bool(hidden.any()) else None
        return self._masks[window]

    def drop(self) -> None:
        """Let finished rows go, and prompts without rows: the last ones take their places, and no other moves."""
        going = [index for index, row in enumerate(self.rows) if row.finish is None]
        if len(going) == len(self.rows):
            return
        self._prompt_of = [self._prompt_of[index] for index in _moved(going)]
        self.rows = [self.rows[index] for index in _moved(going)]
        asked = sorted(set(self._prompt_of))
        places = {old: new for new, old in enumerate(_moved(asked))}
        self._lengths = [self._lengths[old] for old in _moved(asked)]
        self._prompt_of = [places[old] for old in self._prompt_of]
        if not self.rows:
            self._prompts, self._tails, self._kept = {}, {}, (0, 0)
            return
        self._tails = {layer: _kept(pair, going) for layer, pair in self._tails.items()}
        self._prompts = {layer: _kept(pair, asked) for layer, pair in self._prompts.items()}
        self._kept = _size(self._kept[0], len(asked)), _size(self._kept[1], len(going))
        self._arrange()

    def _arrange(self) -> None:
        """Where each row stands in the square of prompts by their rows, whose gaps hold row 0."""
        self._masks: dict[int | None, Tensor | None] = {}
        self._widest = max(self._lengths)
        lengths = [self._lengths[prompt] for prompt in self._prompt_of]
        self._starts = torch.tensor(lengths, device=self._device)
        by_prompt: list[list[int]] = [[] for _ in self._lengths]
        for row, prompt in enumerate(self._prompt_of):
            by_prompt[prompt].append(row)
        width = max(len(some) for some in by_prompt)
        square = [row for some in by_prompt for row in some + [0] * (width - len(some))]
        back = [0] * len(self.rows)
        for prompt, some in enumerate(by_prompt):
            for place, row in enumerate(some):
                back[row] = prompt * width + place
        straight = square == list(range(len(self.rows)))
        self._square = None if straight else torch.tensor(square, device=self._device)
        self._back = torch.tensor(back, device=self._device)


def _longer(tail: Tensor | None, like: Tensor, rows: int, length: int) -> Tensor:
    """A tail with room for `length` tokens, and what the old one held."""
    longer = like.new_empty((rows if tail is None else tail.shape[0], like.shape[1], length, like.shape[2]))
    if tail is not None:
        longer[:, :, : tail.shape[2]] = tail
    return longer


def _moved(kept: Sequence[int]) -> list[int]:
    """Which of the old places stands in each new one: those that can stay do, the last ones fill the gaps."""
    count = len(kept)
    staying = {place for place in kept if place < count}
    movers = iter([place for place in kept if place >= count])
    return [place if place in staying else next(movers) for place in range(count)]


def _size(size: int, count: int) -> int:
    """How many of `size` places are kept for `count`: all, until half of them would be empty."""
    return count if 2 * count <= size else size


def _kept(pair: tuple[Tensor, Tensor], kept: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Keys and values with the kept places first."""
    order = _moved(kept)
    if _size(pair[0].shape[0], len(kept)) == len(kept):
        return pair[0][order], pair[1][order]
    gaps = [place for place, old in enumerate(order) if place != old]
    for tensor in pair if gaps else ():
        tensor[gaps] = tensor[[order[place] for place in gaps]]
    return pair
