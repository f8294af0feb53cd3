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

from alignment.training.structure import BLOCK

if TYPE_CHECKING:
    from transformers import PreTrainedModel

KERNELS = 64  # of one process, of which each kind of heads takes a few
TRIED = (((150, 70, 90, 40), (0, 0, 0, 3)), ((50, 30, 20), (0, 0, 0)))
"""A trial's rows: a prompt with two responses and one alone; and one of a single block, which has its own kernels."""
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
    kind = value.dtype  # autocast knows nothing of FlexAttention: rotary positions may have left float32
    compute = flex_attention if query.device.type == "cpu" else _compiled()
    found: Tensor = compute(query.to(kind), key.to(kind), value, block_mask=seen, scale=scale, enable_gqa=True)
    return found.transpose(1, 2).contiguous()


@cache
def _compiled() -> Any:
    """FlexAttention as kernels of its own: for rows of any length, but for each kind of heads and each scale anew.

    Beyond a number of kernels torch goes back to computing all scores, and says so nowhere; here it is an error.
    """
    limits: Any = torch._dynamo.config
    limits.recompile_limit = max(limits.recompile_limit, KERNELS)
    return torch.compile(flex_attention, dynamic=True, fullgraph=True)


def unusable(model: PreTrainedModel, device: torch.device, *, exact: bool) -> str:
    """Why a model's heads cannot be computed this way on the device; empty where a trial went well.

    `exact` is arithmetic in the type of the weights, otherwise it is bf16.
    """
    text: Any = model.config.get_text_config()
    heads = text.num_attention_heads
    width = getattr(text, "head_dim", None) or text.hidden_size // heads
    groups = getattr(text, "num_key_value_heads", None) or heads
    try:
        _try(heads, groups, width, model.dtype if exact else torch.bfloat16, device)
    except Exception as error:  # noqa: BLE001  (whatever a compiler, a driver or a kernel has to say)
        return f"{type(error).__name__}: {(str(error).splitlines() or ['no reason given'])[0]}"
    return ""


class OtherNumbers(Exception):
    """A trial gave other numbers than a mask does."""


@cache  # what went well; a failure is raised, and may be another time's success
def _try(heads: int, groups: int, width: int, dtype: torch.dtype, device: torch.device) -> None:
    """Raise unless values and gradients of small rows are those under a mask, laid in memory as a model lays them."""
    made = torch.Generator().manual_seed(0)
    for sizes, prompts in TRIED:
        seen = sight(torch.tensor(sizes), torch.tensor(prompts), None).to(device)
        rows = [torch.randn(1, sum(sizes), count, width, generator=made) for count in (heads, groups, groups)]
        query, key, value = (row.to(device, dtype).transpose(1, 2).requires_grad_() for row in rows)
        scale, blocks, allowed = width**-0.5, mask(seen), seen.mask()
        with torch.autocast(device.type, torch.bfloat16, enabled=dtype == torch.bfloat16):
            with torch.no_grad():
                alone = attend(blocks, 0, query, key, value, scale)
            found = attend(blocks, 0, query, key, value, scale)
            usual = scaled_dot_product_attention(query, key, value, allowed, scale=scale, enable_gqa=True)
        usual = usual.transpose(1, 2)
        slopes, expected = (
            torch.autograd.grad(values.float().square().sum(), (query, key, value)) for values in (found, usual)
        )
        for one, other in zip((alone, found, *slopes), (usual, usual, *expected), strict=True):
            _require_alike(one.detach().float(), other.detach().float(), ALLOWED.get(dtype, 0.0))


def _require_alike(one: Tensor, other: Tensor, allowed: float) -> None:
    difference, largest = float((one - other).abs().max()), float(other.abs().max())
    if not difference <= allowed * largest:  # NaN too
        raise OtherNumbers(f"a trial differs from a mask by {difference:.3g}, of values up to {largest:.3g}")
