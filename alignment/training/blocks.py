"""Attention over rows that examples share, on an accelerator: blocks of keys that nobody sees are left out.

FlexAttention (Dong et al. 2024, arXiv 2412.05496) computes only the blocks that a mask lets through, and asks a
function about single places in those that it lets through in part.  What a token of a shared row sees is two stretches
of the row: of its own segment, up to itself, and of the prompt before it; a window only shortens them.  So both the
blocks and the function follow from three numbers a token, and no mask of a row's length squared is ever made.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.attention.flex_attention import BlockMask, flex_attention
from torch.nn.functional import scaled_dot_product_attention

if TYPE_CHECKING:
    from transformers import PreTrainedModel

BLOCK = 128  # tokens: the size that FlexAttention's kernels like best
TRIED, PROMPTS = (150, 70, 90, 40), (0, 0, 0, 3)  # a trial's segments: a prompt with two responses, and one alone
ALLOWED = {torch.float32: 1e-3, torch.bfloat16: 4e-2, torch.float16: 1e-2}
"""Largest difference from a mask that a trial may show, as a share of the largest value."""


class Sight(NamedTuple):
    """What each token of a row sees: tokens from `own` to itself, and those from `first` to before `end`; (T,) each."""

    own: Tensor
    first: Tensor
    end: Tensor

    def mask(self) -> Tensor:
        """Whether each token sees each other one, (T, T)."""
        places = torch.arange(len(self.own), device=self.own.device)
        return self.sees(places[:, None], places)

    def sees(self, query: Tensor, key: Tensor) -> Tensor:
        """Whether tokens at some places see those at others."""
        mine = (key >= self.own[query]) & (key <= query)
        return mine | ((key >= self.first[query]) & (key < self.end[query]))

    def to(self, device: torch.device) -> Sight:
        """The same numbers where they are needed."""
        return Sight(*(numbers.to(device) for numbers in self))


def sight(sizes: Tensor, prompts: Tensor, window: int | None) -> Sight:
    """What is seen where segments of these sizes follow each other; `prompts` says which of them stands before each
    one's first token, itself for a prompt.  Within a window of positions, which go on from prompt to response."""
    starts = sizes.cumsum(0) - sizes
    segment = torch.arange(len(sizes)).repeat_interleave(sizes)
    places, own, before = torch.arange(len(segment)), starts[segment], prompts[segment]
    first, end = starts[before], starts[before] + sizes[before]
    end = torch.where(before == segment, first, end)
    if window is not None:
        own = torch.maximum(own, places - window + 1)
        first = torch.maximum(first, first + (end - first) + (places - starts[segment]) - window + 1)
    return Sight(own, first, torch.maximum(first, end))


def mask(seen: Sight) -> BlockMask:
    """The same for FlexAttention: which blocks of keys each block of queries sees as a whole, and which in part."""
    length = len(seen.own)
    count = -(-length // BLOCK)
    places, edges = torch.arange(length, device=seen.own.device), torch.arange(count, device=seen.own.device) * BLOCK

    def inside(first: Tensor, end: Tensor) -> Tensor:
        """How many tokens of each block lie in each token's stretch, (T, blocks)."""
        low, high = torch.maximum(first[:, None], edges), torch.minimum(end[:, None], edges + BLOCK)
        return (high - low).clamp_min(0)

    tokens = inside(seen.own, places + 1) + inside(seen.first, seen.end)
    whole = tokens.new_zeros(count * BLOCK, count)
    whole[:length] = tokens
    by_block = whole.view(count, BLOCK, count)
    full = (by_block == BLOCK).all(dim=1)
    partial = (by_block > 0).any(dim=1) & ~full

    def allows(_: Tensor, __: Tensor, query: Tensor, key: Tensor) -> Tensor:
        return seen.sees(query, key)

    some, all_of_it = _listed(partial), _listed(full)
    return BlockMask.from_kv_blocks(*some, *all_of_it, BLOCK_SIZE=BLOCK, mask_mod=allows, seq_lengths=(length, length))


def _listed(chosen: Tensor) -> tuple[Tensor, Tensor]:
    """How many columns of each row are chosen, and all columns, the chosen ones first; with two dimensions before."""
    columns = chosen.int().argsort(dim=1, descending=True, stable=True)
    return chosen.sum(dim=1).int()[None, None], columns.int()[None, None]


def attend(seen: BlockMask, _: int, query: Tensor, key: Tensor, value: Tensor, scale: float | None) -> Tensor:
    """Attention of (1, H, T, D) under such a mask, (1, T, H, D): see `attention.Attend`."""
    heads = query.shape[1]
    grouped = heads & (heads - 1) == 0
    if not grouped:  # its kernels then want as many heads of keys
        key, value = (one.repeat_interleave(heads // one.shape[1], dim=1) for one in (key, value))
    kind = value.dtype  # autocast knows nothing of FlexAttention: rotary positions may have left float32
    compute = _compiled() if query.device.type != "cpu" else flex_attention
    found: Tensor = compute(query.to(kind), key.to(kind), value, block_mask=seen, scale=scale, enable_gqa=grouped)
    return found.transpose(1, 2).contiguous()


@cache
def _compiled() -> Any:
    """FlexAttention as kernels of its own; lengths of rows differ from pack to pack, and are no reason for new ones."""
    return torch.compile(flex_attention, dynamic=True)


def unusable(model: PreTrainedModel, device: torch.device) -> str:
    """Why a model's heads cannot be computed this way on the device; empty where a trial went well."""
    text: Any = model.config.get_text_config()
    heads = text.num_attention_heads
    width = getattr(text, "head_dim", None) or text.hidden_size // heads
    return _trial(heads, getattr(text, "num_key_value_heads", None) or heads, width, model.dtype, device)


@cache
def _trial(heads: int, groups: int, width: int, dtype: torch.dtype, device: torch.device) -> str:
    """Values and gradients of a small row, against those under a mask."""
    seen = sight(torch.tensor(TRIED), torch.tensor(PROMPTS), None).to(device)
    length = sum(TRIED)
    made = torch.Generator().manual_seed(0)

    def drawn(count: int) -> Tensor:
        return torch.randn(1, count, length, width, generator=made).to(device, dtype).requires_grad_()

    given = query, key, value = drawn(heads), drawn(groups), drawn(groups)
    try:
        found = attend(mask(seen), 0, query, key, value, None)
        slopes = torch.autograd.grad(found.float().square().sum(), given)
    except Exception as error:  # noqa: BLE001  # whatever a compiler, a driver or a kernel has to say: masks do without them
        return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no reason given'}"
    usual = scaled_dot_product_attention(query, key, value, seen.mask(), enable_gqa=True).transpose(1, 2)
    expected = torch.autograd.grad(usual.float().square().sum(), given)
    for one, other in zip((found, *slopes), (usual, *expected), strict=True):
        one, other = one.detach().float(), other.detach().float()
        if not float((one - other).abs().max()) <= ALLOWED.get(dtype, 0.0) * float(other.abs().max()):  # NaN too
            return "a trial gave other numbers than a mask does"
    return ""
