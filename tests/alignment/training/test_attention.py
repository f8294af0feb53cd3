"""Attention by parts that calls torch's kernel itself gives what torch's attention gives, and keeps less."""

import random
from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

from alignment.training import attention, layout
from alignment.training.attention import Part
from alignment.training.blocks import sight
from alignment.training.rows import arrange
from tests.alignment.training.test_sharing import CPU, build, examples

FAMILIES: dict[str, dict[str, Any]] = {
    "llama": {},
    "qwen2": {"num_key_value_heads": 1},  # heads that share their keys and values
    "gemma3_text": {},  # a window in some layers
}


def learned(kind: str, dtype: torch.dtype = torch.float32) -> tuple[Tensor, dict[str, Tensor], int]:
    """Hidden states of a shared row, gradients, and how many values were kept for them."""
    torch.manual_seed(0)
    model = build(kind, FAMILIES[kind])
    model = model.bfloat16() if dtype == torch.bfloat16 else model
    rows = arrange(model, CPU)
    laid = layout.shared(examples(), rows, CPU)
    kept = 0

    def keep(value: Tensor) -> Tensor:
        nonlocal kept
        kept += value.numel()
        return value

    with saved_tensors_hooks(keep, lambda value: value):
        states = model.base_model(
            input_ids=laid.ids, position_ids=laid.positions, attention_mask=rows.mask(laid.masks), use_cache=False
        ).last_hidden_state
    torch.autograd.backward(states.float().square().mean())
    slopes = {name: one.grad for name, one in model.named_parameters() if one.grad is not None}
    return states.detach(), slopes, kept


@pytest.mark.parametrize("together", [0, 40])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("kind", FAMILIES)
def test_the_kernel_called_by_itself_gives_what_attention_gives(
    kind: str, dtype: torch.dtype, together: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Values to the last bit, gradients up to the order of their sums, with short examples apart and together."""
    monkeypatch.setattr(attention, "TOGETHER", together)
    states, slopes, kept = learned(kind, dtype)
    monkeypatch.setattr(attention, "_KERNEL", None)  # a torch that has it no more
    own, others, more = learned(kind, dtype)

    assert torch.equal(states, own)
    assert kept < more
    within = 2e-6 if dtype == torch.float32 else 3e-2
    assert slopes.keys() == others.keys()
    for name, slope in others.items():
        torch.testing.assert_close(slopes[name], slope, rtol=0, atol=within * float(slope.abs().max()), msg=name)


def parts_of(some: Sequence[tuple[int, ...]], window: int | None) -> tuple[list[Part], Tensor]:
    """Parts of a row of examples, each a prompt's tokens and its responses'; and who sees whom there, (T, T)."""
    spans: list[tuple[slice, slice | None]] = []
    sizes = [size for one in some for size in one]
    prompts: list[int] = []
    for one in some:
        first = len(prompts)
        for size in one:
            start = sum(sizes[: len(prompts)])
            spans.append((slice(start, start + size), spans[first][0] if len(prompts) > first else None))
            prompts.append(first)
    seen = sight(torch.tensor(sizes), torch.tensor(prompts), window)
    found: list[Part] = getattr(attention.by_parts(seen, spans, windowed=window is not None), attention._PARTS)
    return found, seen.mask()


def test_short_examples_attend_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whole examples that follow each other, as long as they are short together; of a longer one its prompt is alone,
    which its responses see, short ones together."""
    monkeypatch.setattr(attention, "TOGETHER", 10)

    short, long = [(2, 1, 1), (3, 2), (1, 1)], [(9, 3, 3, 4, 5, 6), (11, 1, 1)]
    found, _ = parts_of([*short, *long, (2, 2), (1, 1, 1), (6, 2, 2), (1, 11, 3, 4)], None)

    together = [(9, None), (2, None), (9, None), (10, 2), (5, 2), (6, 2), (11, None), (2, 6)]
    together += [(7, None), (10, None), (1, None), (11, 10), (7, 10)]
    assert [(part.size, part.before) for part in found] == together
    assert [place for place, part in enumerate(found) if part.mask is None] == [2, 6, 10]  # prompts: plain causality


@pytest.mark.parametrize("window", [None, 4])
@pytest.mark.parametrize("together", [0, 12, 40, 1000])
def test_parts_see_what_a_mask_of_the_whole_row_shows(
    together: int, window: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever attends together: nobody sees more, and nobody less."""
    monkeypatch.setattr(attention, "TOGETHER", together)
    rng = random.Random(together)
    for _ in range(20):
        some = [tuple(rng.randint(1, 9) for _ in range(rng.randint(2, 6))) for _ in range(rng.randint(1, 8))]
        parts, expected = parts_of(some, window)

        found = torch.zeros_like(expected)
        ends = list(accumulate(part.size for part in parts))
        own = [torch.arange(end - part.size, end) for end, part in zip(ends, parts, strict=True)]
        for queries, (size, before, mask) in zip(own, parts, strict=True):
            keys = queries if before is None else torch.cat([own[before], queries])
            found[queries[:, None], keys] = torch.ones(size, size).tril().bool() if mask is None else mask[0, 0] == 0
        assert torch.equal(found, expected)


def test_what_the_kernel_cannot_do_goes_another_way() -> None:
    """Values of another width than keys, another type or device, and values that are dropped."""
    query, wide = torch.zeros(1, 2, 3, 4), torch.zeros(1, 2, 3, 8)
    assert attention._is_kernels(query, query, query, 0.0)
    assert not attention._is_kernels(query, query, wide, 0.0)
    assert not attention._is_kernels(query, query, query.double(), 0.0)
    assert not attention._is_kernels(query, query, query, 0.1)
    assert not attention._is_kernels(query.to("meta"), query, query, 0.0)
    assert not attention._is_kernels(wide[..., ::2], query, query, 0.0)


def test_parts_that_are_no_row_are_not_the_kernels() -> None:
    """An empty part would end the process there, and what no part covers would be whatever memory held."""
    module, row = torch.nn.Module(), torch.rand(1, 2, 5, 4)
    with_empty = attention._carrying(attention._PARTS, [Part(3, None, None), Part(0, 0, None), Part(2, None, None)])
    without = attention._carrying(attention._PARTS, [Part(3, None, None), Part(2, None, None)])
    short = attention._carrying(attention._PARTS, [Part(3, None, None)])

    found, _ = attention._attend(module, row, row, row, with_empty)
    assert torch.equal(found, attention._attend(module, row, row, row, without)[0])
    with pytest.raises(RuntimeError, match="split"):
        attention._attend(module, row, row, row, short)


def test_masks_in_bf16_are_made_where_they_are_needed() -> None:
    """All layers share one in float32: copies that each layer kept would be there after its values have gone."""
    row = torch.rand(1, 2, 5, 4, dtype=torch.bfloat16, requires_grad=True)
    masks = [torch.zeros(1, 1, 2, 5)]
    parts = attention._carrying(attention._PARTS, [Part(3, None, None), Part(2, 0, masks[0])])

    found, _ = attention._attend(torch.nn.Module(), row, row, row, parts)

    assert found.grad_fn is not None
    assert found.grad_fn.parts[1].mask is masks[0]  # type: ignore[attr-defined]
    torch.autograd.backward(found.float().sum())
    assert row.grad is not None
