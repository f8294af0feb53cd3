"""Attention over rows that examples share, part by part: little work is done for what a mask would hide.

The masks of a layout carry their parts with them.  A model whose attention is ours looks for them there and computes
each prompt by itself, then each response with its prompt; short ones together under a small mask, since calls of the
kernel cost more than what such a mask hides.  Whatever comes without parts goes the usual way.  A mask may also name
who attends in the model's stead: by blocks on an accelerator (`blocks`), or with keys and values kept elsewhere, which
is how answers are generated.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import scaled_dot_product_attention

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from alignment.training.blocks import Sight

NAME = "plumbline"
NOT_SEEN = float("-inf")
TOGETHER = 128
"""Tokens that attend at once although some see nothing of others: so few that what their mask hides costs less than
more calls would, as `benchmarks/attending` measures.  In wider models it costs less beside all else."""
_PARTS = "plumbline_parts"
_INSTEAD = "plumbline_instead"
_KERNEL: Any = getattr(torch.ops.aten, "_scaled_dot_product_flash_attention_for_cpu", None)
_KERNEL_BACKWARD: Any = getattr(torch.ops.aten, "_scaled_dot_product_flash_attention_for_cpu_backward", None)
Attend = Callable[[int, Tensor, Tensor, Tensor, float | None], Tensor]
"""Layer, query (1, H, T, D), key and value with fewer heads, scale; what is seen (1, T, H, D)."""


class Part(NamedTuple):
    """Queries that attend at once: to their own `size` keys, after those of the part numbered `before`, as far as the
    mask shows them.  No mask means plain causality."""

    size: int
    before: int | None
    mask: Tensor | None


def by_parts(seen: Sight, spans: Sequence[tuple[slice, slice | None]], *, windowed: bool) -> Tensor:
    """A mask without places that says what the tokens of a row see part by part: in order, the span of each segment and
    that of a response's prompt."""
    parts: list[Part] = []
    places = torch.arange(len(seen.own), device=seen.own.device)
    numbers: dict[int, int] = {}  # of parts by where they start
    for stretch in _stretches(spans):
        queries, mask = places[stretch.own], None
        if stretch.masked or windowed:
            keys = queries if stretch.before is None else torch.cat([places[stretch.before], queries])
            allowed = seen.sees(queries[:, None], keys)
            mask = torch.zeros(allowed.shape, device=allowed.device).masked_fill_(~allowed, NOT_SEEN)[None, None]
        numbers[stretch.own.start] = len(parts)
        parts.append(Part(len(queries), None if stretch.before is None else numbers[stretch.before.start], mask))
    return _carrying(_PARTS, parts)


class _Stretch(NamedTuple):
    """Tokens of a row that attend at once, and the prompt before them that they see; under a mask, unless they are a
    prompt alone."""

    own: slice
    before: slice | None
    masked: bool


def _stretches(spans: Sequence[tuple[slice, slice | None]]) -> list[_Stretch]:
    """A row's segments in order: examples that are short together at once; of a longer one its prompt, then its
    responses, those at once that are short together."""
    found: list[_Stretch] = []
    starts = [place for place, (_, before) in enumerate(spans) if before is None]
    for first, after in pairwise([*starts, len(spans)]):
        prompt, last = spans[first][0], spans[after - 1][0]
        new = [_Stretch(slice(prompt.start, last.stop), None, masked=True)]
        if last.stop - prompt.start > TOGETHER:
            answers = (_Stretch(own, before, masked=True) for own, before in spans[first + 1 : after])
            new = [_Stretch(prompt, None, masked=False), *answers]
        for stretch in new:
            own = stretch.own
            if found and found[-1][1:] == stretch[1:] and own.stop - found[-1].own.start <= TOGETHER:
                own = slice(found.pop().own.start, own.stop)
            found.append(stretch._replace(own=own))
    return found


def instead(attend: Attend) -> Tensor:
    """A mask that lets `attend` do all attention; it has no places, so that no other attention takes it for one."""
    return _carrying(_INSTEAD, attend)


def _carrying(name: str, what: object) -> Tensor:
    mask = torch.zeros(1, 1, 0, 0)
    setattr(mask, name, what)
    return mask


def use(model: PreTrainedModel) -> None:
    """Let the model attend by parts where a mask carries them; everything else it computes stays the same."""
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.masking_utils import sdpa_mask

    AttentionInterface.register(NAME, _attend)
    AttentionMaskInterface.register(NAME, sdpa_mask)
    model.set_attn_implementation(NAME)


def _attend(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    **settings: Any,
) -> tuple[Tensor, Tensor | None]:
    """The attention that transformers calls: (1, H, T, D) each, of keys and values fewer heads; (1, T, H, D) back."""
    from transformers.integrations.sdpa_attention import repeat_kv, sdpa_attention_forward

    other: Attend | None = getattr(attention_mask, _INSTEAD, None)
    if other is not None:
        if settings.get("dropout") or settings.get("softcap"):
            raise ValueError("attention that drops values or bends scores cannot be computed in a model's stead")
        return other(module.layer_idx, query, key, value, settings.get("scaling")), None  # type: ignore[arg-type]
    parts: list[Part] | None = getattr(attention_mask, _PARTS, None)
    if parts is None:
        found: tuple[Tensor, Tensor | None] = sdpa_attention_forward(
            module, query, key, value, attention_mask, **settings
        )
        return found
    dropout, scale = settings.get("dropout", 0.0), settings.get("scaling")
    if torch.is_autocast_enabled(query.device.type):
        kind = torch.get_autocast_dtype(query.device.type)
        query, key, value = query.to(kind), key.to(kind), value.to(kind)
    sizes = [part.size for part in parts]
    if all(sizes) and sum(sizes) == query.shape[2] and _is_kernels(query, key, value, dropout):
        return _Parts.apply(query, key, value, parts, scale), None  # type: ignore[no-untyped-call]
    groups = query.shape[1] // key.shape[1]
    key, value = repeat_kv(key, groups), repeat_kv(value, groups)
    # split, because slices would each add a whole row of zeros on the way back
    queries, keys, values = (torch.split(whole, sizes, dim=2) for whole in (query, key, value))
    done = []
    for place, (_, before, mask) in enumerate(parts):
        bias = None if mask is None else mask.to(query.dtype)
        seen, said = _seen(keys, before, place), _seen(values, before, place)
        causal = mask is None
        one = scaled_dot_product_attention(queries[place], seen, said, bias, dropout, is_causal=causal, scale=scale)
        done.append(one.transpose(1, 2))
    return torch.cat(done, dim=1), None


def _seen(parts: Sequence[Tensor], before: int | None, place: int) -> Tensor:
    return parts[place] if before is None else torch.cat([parts[before], parts[place]], dim=2)


def _is_kernels(query: Tensor, key: Tensor, value: Tensor, dropout: float) -> bool:
    """Whether torch's kernel for CPUs, the one that its attention takes there, can be called by itself."""
    alike = query.dtype == key.dtype == value.dtype and query.shape[-1] == value.shape[-1]
    flat = all(each.stride(-1) == 1 for each in (query, key, value))
    there = None not in (_KERNEL, _KERNEL_BACKWARD)
    return there and query.device.type == "cpu" and alike and flat and not dropout


class _Parts(torch.autograd.Function):
    """Attention by parts that keeps queries, keys and values as they came, with the results and a number a query.

    Autograd would keep each response's keys and values once more, after a copy of its prompt's, and each part's result
    beside all of them; and would add up slopes of keys and values part by part, each as long as the row.
    """

    @staticmethod
    def forward(
        ctx: Any, query: Tensor, key: Tensor, value: Tensor, parts: Sequence[Part], scale: float | None
    ) -> Tensor:
        from transformers.integrations.sdpa_attention import repeat_kv

        groups = query.shape[1] // key.shape[1]
        keys, values = repeat_kv(key, groups), repeat_kv(value, groups)
        found = query.new_empty(query.shape[0], query.shape[2], query.shape[1], value.shape[3])
        sums = []
        for span, before, mask in _spans(parts, query.dtype):
            seen, said = (_with(whole, span, before) for whole in (keys, values))
            one, total = _KERNEL(query[:, :, span], seen, said, is_causal=mask is None, attn_mask=mask, scale=scale)
            found[:, span] = one.transpose(1, 2)
            sums.append(total)
        ctx.parts, ctx.scale = parts, scale
        ctx.save_for_backward(query, key, value, found, *sums)
        return found

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor | None, ...]:
        from transformers.integrations.sdpa_attention import repeat_kv

        query, key, value, found, *sums = ctx.saved_tensors
        groups = query.shape[1] // key.shape[1]
        keys, values = repeat_kv(key, groups), repeat_kv(value, groups)
        slope, found = slope.transpose(1, 2), found.transpose(1, 2)
        to_query, to_keys, to_values = (torch.empty_like(whole) for whole in (query, keys, values))
        for (span, before, mask), total in zip(_spans(ctx.parts, query.dtype), sums, strict=True):
            seen, said = (_with(whole, span, before) for whole in (keys, values))
            of_query, *others = _KERNEL_BACKWARD(
                slope[:, :, span],
                query[:, :, span],
                seen,
                said,
                found[:, :, span],
                total,
                0.0,
                mask is None,
                attn_mask=mask,
                scale=ctx.scale,
            )
            to_query[:, :, span] = of_query
            for whole, part in zip((to_keys, to_values), others, strict=True):
                own = span.stop - span.start
                whole[:, :, span] = part[:, :, -own:]  # a prompt comes before its responses, which then add to it
                if before is not None:
                    whole[:, :, before] += part[:, :, :-own]
        if groups > 1:  # heads that share their keys and values
            to_keys, to_values = (each.view(1, -1, groups, *each.shape[2:]).sum(2) for each in (to_keys, to_values))
        return to_query, to_keys, to_values, None, None


def _spans(parts: Sequence[Part], dtype: torch.dtype) -> Iterator[tuple[slice, slice | None, Tensor | None]]:
    """Where each part's queries stand, and those of the part before it; and its mask, which is kept as it came: all
    layers share it."""
    ends = list(accumulate(part.size for part in parts))
    spans = [slice(end - part.size, end) for end, part in zip(ends, parts, strict=True)]
    for span, (_, before, mask) in zip(spans, parts, strict=True):
        yield span, None if before is None else spans[before], None if mask is None else mask.to(dtype)


def _with(whole: Tensor, span: slice, before: slice | None) -> Tensor:
    own = whole[:, :, span]
    return own if before is None else torch.cat([whole[:, :, before], own], dim=2)
