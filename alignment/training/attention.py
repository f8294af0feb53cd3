"""Attention over rows that examples share, part by part: no work is done for what a mask would hide.

The masks of a layout carry their parts with them.  A model whose attention is ours looks for them there and computes
each prompt by itself, then each response with its prompt; whatever comes without parts goes the usual way.  A mask may
also name who attends in the model's stead: by blocks on an accelerator (`blocks`), or with keys and values kept
elsewhere, which is how answers are generated.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

if TYPE_CHECKING:
    from transformers import PreTrainedModel

NAME = "plumbline"
_PARTS = "plumbline_parts"
_INSTEAD = "plumbline_instead"
Attend = Callable[[int, Tensor, Tensor, Tensor, float | None], Tensor]
"""Layer, query (1, H, T, D), key and value with fewer heads, scale; what is seen (1, T, H, D)."""


class Part(NamedTuple):
    """Queries that see the same keys: their own `size` ones, after those of the part numbered `before`.

    No mask means plain causality.
    """

    size: int
    before: int | None
    mask: Tensor | None


def divide(mask: Tensor, spans: list[tuple[slice, slice | None]], *, windowed: bool) -> None:
    """Let the mask (1, 1, T, T) carry its parts: in order, the span of each segment and that of a response's prompt."""
    parts: list[Part] = []
    places = {span.start: place for place, (span, _) in enumerate(spans)}
    for span, before in spans:
        own, size = mask[:, :, span, span], span.stop - span.start
        if before is None:
            parts.append(Part(size, None, own.contiguous() if windowed else None))
        else:
            seen = torch.cat([mask[:, :, span, before], own], dim=3)
            parts.append(Part(size, places[before.start], seen))
    setattr(mask, _PARTS, parts)


def instead(attend: Attend) -> Tensor:
    """A mask that lets `attend` do all attention; it has no places, so that no other attention takes it for one."""
    mask = torch.zeros(1, 1, 0, 0)
    setattr(mask, _INSTEAD, attend)
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
    groups = query.shape[1] // key.shape[1]
    key, value = repeat_kv(key, groups), repeat_kv(value, groups)
    dropout, scale = settings.get("dropout", 0.0), settings.get("scaling")
    sizes = [part.size for part in parts]  # split, because slices would each add a whole row of zeros on the way back
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
