"""Attention by blocks sees what each token may see, and is used only where a trial shows that it computes the same.

Its kernels have gradients on accelerators alone: what a CPU can show is what is seen, and values without a gradient.
"""

import json
from dataclasses import replace
from functools import partial
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn.attention.flex_attention import BlockMask
from torch.nn.functional import scaled_dot_product_attention
from transformers import PreTrainedModel

from alignment.objectives.dpo import DPO
from alignment.training import Spec, attention, blocks, layout, resume, structure
from alignment.training.events import Events
from alignment.training.ranks import Ranks
from alignment.training.rows import arrange, checked
from alignment.training.scorer import Scorer
from alignment.training.scoring import Scoring
from alignment.training.state import Origin
from tests.alignment.training.test_sharing import CPU, SHARED, alone, build, examples, gradients

pytestmark = pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile")  # as a CPU must
SIZES, PROMPTS = (120, 8, 300, 200, 1, 130, 3, 260, 40), (0, 0, 0, 3, 3, 3, 6, 7, 7)
"""The third segment has blocks of queries all of which see the prompt's 120 of the first block's 128 tokens."""


def spelled(window: int | None) -> Tensor:
    """Who sees whom, token by token: the same segment or its prompt, nothing later, nothing `window` positions away."""
    starts = [0, *torch.tensor(SIZES).cumsum(0).tolist()]
    tokens = [
        (segment, before, place - first + (SIZES[before] if before != segment else 0))
        for segment, (before, (first, end)) in enumerate(zip(PROMPTS, pairwise(starts), strict=True))
        for place in range(first, end)
    ]
    seen = torch.zeros(len(tokens), len(tokens), dtype=torch.bool)
    for query, (segment, before, position) in enumerate(tokens):
        for key, (other, _, earlier) in enumerate(tokens[: query + 1]):
            near = window is None or position - earlier < window
            seen[query, key] = near and other in (segment, before)
    return seen


@pytest.mark.parametrize("window", [None, 1, 64, 150])
def test_a_token_sees_its_prompt_and_its_response(window: int | None) -> None:
    """Token by token; and every block that is left out has nobody to see it, every whole one is seen by all."""
    seen = blocks.sight(torch.tensor(SIZES), torch.tensor(PROMPTS), window)
    expected = spelled(window)

    found = blocks.mask(seen)

    assert torch.equal(seen.mask(), expected)
    size, count = structure.BLOCK, -(-len(expected) // structure.BLOCK)
    padded = torch.zeros(count * size, count * size, dtype=torch.bool)
    padded[: len(expected), : len(expected)] = expected
    by_block = padded.view(count, size, count, size).transpose(1, 2).sum(dim=(2, 3))
    whole, part = listed(found.full_kv_num_blocks, found.full_kv_indices), listed(found.kv_num_blocks, found.kv_indices)
    assert torch.equal(whole, by_block == size**2)
    assert torch.equal(part, (by_block > 0) & (by_block < size**2))
    assert found.shape == (1, 1, len(expected), len(expected))


def listed(counts: Tensor | None, indices: Tensor | None) -> Tensor:
    """The blocks of each row of blocks that are named, as a table."""
    assert counts is not None
    assert indices is not None
    rows = indices.shape[2]
    found = torch.zeros(rows, rows, dtype=torch.bool)
    for row in range(rows):
        found[row, indices[0, 0, row, : counts[0, 0, row]].long()] = True
    return found


def wide(name: str) -> PreTrainedModel:
    """A model whose heads are as wide as kernels want them at least."""
    kind, parts = SHARED[name]
    return build(kind, parts | ({"n_embd": 64} if kind == "gpt2" else {"hidden_size": 64, "head_dim": 16}))


@pytest.mark.parametrize("name", SHARED)
@torch.no_grad()
def test_values_are_those_of_sequences_alone(name: str) -> None:
    """Log-probabilities of every architecture that shares, by blocks."""
    model = wide(name)
    some = examples(longest=60)
    expected = alone(model, some)
    rows = replace(structure.of(model.config, model.config._attn_implementation), way="blocks")
    attention.use(model)

    found = Scorer(model, "fp32")(layout.shared(some, rows, CPU), rows).logps

    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-4)


def test_types_that_autocast_leaves_apart_are_made_one() -> None:
    """Under autocast rotary positions are float32 and values bf16; what comes out is of the values' type."""
    seen = blocks.mask(blocks.sight(torch.tensor([5, 3]), torch.tensor([0, 0]), None))
    query, key, value = torch.randn(3, 1, 4, 8, 16).unbind()

    found = blocks.attend(seen, 0, query, key, value.bfloat16(), None)

    assert found.dtype == torch.bfloat16
    assert found.shape == (1, 8, 4, 16)


def test_heads_that_no_kernel_takes_in_groups() -> None:
    """Six heads over two of keys and values."""
    seen = blocks.sight(torch.tensor([50, 30, 20]), torch.tensor([0, 0, 0]), None)
    query, key, value = torch.randn(1, 6, 100, 8), torch.randn(1, 2, 100, 8), torch.randn(1, 2, 100, 8)

    found = blocks.attend(blocks.mask(seen), 0, query, key, value, 0.3)

    expected = torch.nn.functional.scaled_dot_product_attention(
        query, key, value, seen.mask(), scale=0.3, enable_gqa=True
    )
    torch.testing.assert_close(found, expected.transpose(1, 2))


def test_where_a_trial_fails_masks_stay() -> None:
    """What has no kernels with gradients attends under masks, and says why; the run is none the worse."""
    rows = arrange(build("llama", {}), torch.device("meta"))

    assert (rows.shared, rows.way) == (True, "masks")
    assert "under masks, as attention by blocks does not work here" in rows.why
    assert "does not support backward on CPU" in blocks.unusable(build("llama", {}), CPU, exact=True)


@pytest.mark.parametrize("exact", [True, False], ids=["fp32", "bf16"])
@pytest.mark.parametrize("wrong", ["", "values", "nan", "gradients"])
def test_kernels_that_compute_something_else_are_found_out(
    wrong: str, exact: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A trial compares values and gradients with those under a mask; here a mask stands in the kernel's place."""
    error = {"values": 5.0, "nan": torch.nan}.get(wrong, 0.0)

    def kernel(seen: BlockMask, _: int, query: Tensor, key: Tensor, value: Tensor, scale: float | None) -> Tensor:
        length = query.shape[2]
        places = torch.arange(length)
        allowed = seen.mask_mod(torch.tensor(0), torch.tensor(0), places[:, None], places)
        found = scaled_dot_product_attention(query, key, value, allowed, scale=scale, enable_gqa=True)
        found = found + error * value.mean(dim=2, keepdim=True).repeat_interleave(2, dim=1)
        other = found + query if wrong == "gradients" else found
        return (found.detach() + other - other.detach()).transpose(1, 2)

    monkeypatch.setattr(blocks, "attend", kernel)
    trial = vars(blocks)["_try"]
    trial.cache_clear()

    found = blocks.unusable(build("llama", {}), CPU, exact=exact)

    trial.cache_clear()
    assert found.startswith("OtherNumbers: a trial differs from a mask by" if wrong else "")
    assert bool(found) == bool(wrong)


def test_rows_of_every_length_have_the_same_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    """Torch compiles anew for a kind of heads, a scale and a row of one block, not for each pack: beyond its limit,
    which is an error here, it would compute all scores and say nothing.  Compiled without kernels, as a CPU can."""
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="eager"))
    compiled = vars(blocks)["_compiled"].__wrapped__()
    counted = torch._dynamo.utils.counters["stats"]
    before = counted["unique_graphs"]
    with torch.no_grad():
        for sizes in ((300, 90, 80), (200, 40), (130,), (700, 61), (150, 149), (131, 1, 1), (512,), (400, 3)):
            seen = blocks.sight(torch.tensor(sizes), torch.zeros(len(sizes), dtype=torch.long), None)
            query, key, value = torch.randn(3, 1, 4, sum(sizes), 16).unbind()
            found = compiled(query, key, value, block_mask=blocks.mask(seen), scale=0.25, enable_gqa=True)
            expected = scaled_dot_product_attention(query, key, value, seen.mask(), scale=0.25)
            torch.testing.assert_close(found, expected)

    assert counted["unique_graphs"] - before <= 2


def test_what_cannot_be_done_in_a_model_s_stead_is_refused() -> None:
    """Dropped values and bent scores would be ignored."""
    seen = attention.instead(lambda *_: torch.zeros(1))
    attend = vars(attention)["_attend"]
    for settings in ({"dropout": 0.1}, {"softcap": 30.0}):
        with pytest.raises(ValueError, match="in a model's stead"):
            attend(torch.nn.Module(), *torch.zeros(3, 1, 1, 1, 1).unbind(), seen, **settings)


def test_blocks_that_leak_give_way_to_masks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Where real rows differ by blocks although a trial went well, they share rows under masks, and the log says so."""
    model = build("llama", {})
    attention.use(model)
    rows = structure.Structure(True, "llama", (("full_attention", None),), way="blocks")
    scorer = Scorer(model, "fp32")
    scoring = Scoring(scorer, scorer, DPO(), rows, 0, 128, Ranks(CPU))
    monkeypatch.setattr(blocks, "attend", lambda *given: 0 * given[2].transpose(1, 2))
    with Events(tmp_path / "events.jsonl") as events:
        found = checked(scoring, examples(), events, lambda: None).structure

    told = [json.loads(line) for line in (tmp_path / "events.jsonl").read_text().splitlines()]
    assert (found.shared, found.way) == (True, "masks")
    assert [event["level"] for event in told] == ["warning", "info"]
    assert "do not attend by blocks" in told[0]["message"]
    assert told[1]["attention"] == "masks"


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no accelerator")
@pytest.mark.parametrize("name", SHARED)
def test_values_and_gradients_on_an_accelerator(name: str) -> None:
    """Log-probabilities and gradients of every architecture that shares, by blocks, are those of sequences alone."""
    model, some, device = wide(name), examples(longest=100), torch.device("cuda")
    expected = alone(model, some)
    slope = gradients(model, expected)
    model.to(device)  # type: ignore[arg-type]
    rows = arrange(model, device)

    found = Scorer(model, "fp32")(layout.shared(some, rows, device), rows).logps.cpu()

    assert rows.way == "blocks", rows.why
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-3)
    again = gradients(model, found).cpu()
    torch.testing.assert_close(again, slope, rtol=1e-3, atol=1e-3 * float(slope.abs().max()))


def test_a_run_that_began_under_masks_goes_on_so(spec: Spec) -> None:
    """Even where blocks would do by now: its sums are rounded as before, in packs of the size that it had."""
    rows = structure.Structure(True, "llama", (("full_attention", None),), way="blocks", steady=True)
    scorer = Scorer(build("llama", {}), "fp32")
    scoring = Scoring(scorer, scorer, DPO(), rows, 0, 128, Ranks(CPU))
    begun = Origin(spec={}, data="", weights="", tokens_per_pack=99, path="shared", attention="masks", versions={})

    settled = resume.settle(spec, scoring, begun)

    assert (settled.structure.way, settled.structure.why, settled.tokens) == ("masks", "the run began under masks", 99)
    alone = resume.settle(spec, scoring, begun.model_copy(update={"path": "plain"})).structure
    assert (alone.shared, alone.steady) == (False, True)
    assert resume.settle(spec, scoring, None) is scoring
    assert begun.lanes == 1  # of states that do not say
