"""Rows that are answered together get the tokens that transformers gives each of them, whatever the architecture."""

import random
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from transformers import PreTrainedModel

from alignment.generation.partial import _fused, _plain
from alignment.generation.plain import Plain
from alignment.generation.rows import Room, Row, room_for, together
from alignment.generation.shared import Shared
from alignment.sampling import Sampling
from alignment.training import attention, structure
from alignment.training.model import add_adapters
from alignment.training.spec import LoraTuning
from tests.alignment.training.test_sharing import ALONE, SHARED, VOCABULARY, build

ATTENDING: dict[str, tuple[str, dict[str, Any], str]] = {
    "learned positions": ("opt", {"word_embed_proj_dim": 32, "ffn_dim": 48}, "opt"),
    "linear biases": ("bloom", {"n_layer": 2, "n_head": 4}, "bloom"),
}
PLAIN = ALONE | ATTENDING
LENGTHS = (1, 30, 7, 12, 12, 3)
ENDS = frozenset(range(2, 12))
GREEDY = Sampling(temperature=0)
WIDE = Room(64, 10_000)


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> None:
    torch.set_num_threads(1)


def prompts() -> list[list[int]]:
    rng = random.Random(3)
    return [[rng.randrange(12, VOCABULARY) for _ in range(length)] for length in LENGTHS]


def rows_of(some: Sequence[list[int]], samples: int, new: int) -> list[Row]:
    found = []
    for index, prompt in enumerate(some):
        for sample in range(samples):
            rng = np.random.default_rng([index, sample])
            found.append(Row(prompt, 0, new, rng.random(new)))
    return found


def answer(
    model: PreTrainedModel,
    some: Sequence[list[int]],
    sampling: Sampling = GREEDY,
    *,
    samples: int = 1,
    room: Room = WIDE,
    new: int = 14,
) -> list[list[int]]:
    """Tokens of each row, by the path that the model's structure allows."""
    rows = rows_of(some, samples, new)
    found = structure.of(model.config, model.config._attn_implementation)
    path: Shared | Plain = Plain(model, 0, ENDS, sampling)
    if found.shared:
        attention.use(model)
        path = Shared(model, found, ENDS, sampling)
    for _ in path.answer(together(rows, room.rows), room):
        pass
    assert all(row.finish == ("end" if row.produced[-1] in ENDS else "length") for row in rows)
    return [row.produced for row in rows]


def theirs(model: PreTrainedModel, some: Sequence[list[int]], new: int = 14) -> list[list[int]]:
    """What transformers generates for each prompt by itself, greedily."""
    generate: Any = model.generate
    found = []
    for prompt in some:
        ids = torch.tensor([prompt])
        settings: dict[str, Any] = {"max_new_tokens": new, "do_sample": False, "eos_token_id": sorted(ENDS)}
        out = generate(ids, attention_mask=torch.ones_like(ids), pad_token_id=0, **settings)
        found.append(out[0, len(prompt) :].tolist())
    return found


@pytest.mark.parametrize("name", SHARED)
def test_the_shared_path_gives_what_transformers_gives(name: str) -> None:
    """Token by token, past every window, for prompts of one token and of many, two samples each."""
    model = build(*SHARED[name])
    expected = theirs(model, prompts())

    found = answer(model, prompts(), samples=2)

    assert structure.of(model.config, model.config._attn_implementation).shared
    assert found[::2] == expected
    assert found[1::2] == expected


@pytest.mark.parametrize("name", PLAIN)
def test_the_plain_path_gives_what_transformers_gives(name: str) -> None:
    """States, convolutions, moving positions, soft caps, biases: answered through transformers' caches."""
    kind, parts, _ = PLAIN[name]
    model = build(kind, parts)
    expected = theirs(model, prompts())

    found = answer(model, prompts(), samples=2)

    assert not structure.of(model.config, model.config._attn_implementation).shared
    assert found[::2] == expected
    assert found[1::2] == expected


def test_a_model_without_a_known_cache_reads_everything_again() -> None:
    """Whatever a model calls its cache, its answers are right."""
    model = build("gemma2", ALONE["softcapped"][1])
    expected = theirs(model, prompts()[:3])
    forward = model.forward

    def without_cache(**given: Any) -> Any:
        return forward(**(given | {"use_cache": False}))

    path = Plain(model, 0, ENDS, GREEDY)
    model.forward = without_cache
    rows = rows_of(prompts()[:3], 2, 14)
    for _ in path.answer(together(rows, 64), WIDE):
        pass

    assert [row.produced for row in rows[::2]] == expected


@pytest.mark.parametrize("room", [Room(1, 10_000), Room(3, 10_000), Room(5, 10_000), Room(64, 1), Room(64, 200)])
@pytest.mark.parametrize("kind", ["llama", "gemma3_text", "lfm2"])
def test_draws_do_not_depend_on_what_is_computed_together(kind: str, room: Room) -> None:
    """However few rows or tokens there is room for, and whatever begins beside a row, its draws are the same."""
    model = build(kind, SHARED["gemma3"][1] if kind == "gemma3_text" else {})
    sampling = Sampling(temperature=1, top_p=0.9)

    found = answer(model, prompts(), sampling, samples=4, room=room)

    assert len({tuple(tokens) for tokens in found}) > len(LENGTHS)
    assert found == answer(model, prompts(), sampling, samples=4)
    assert found[::4] == answer(model, prompts(), sampling)
    assert found[:4] == answer(model, prompts()[:1], sampling, samples=4)


def test_each_prompt_and_each_token_is_computed_once() -> None:
    """Four samples share their prompt; who has ended computes no more, and a freed place goes to the next prompt."""
    model = build("llama", {})
    computed, widths = [], []

    def count(_: torch.nn.Module, given: tuple[Tensor, ...], *__: object) -> None:
        computed.append(given[0].numel())
        widths.append(given[0].shape[1])

    model.get_input_embeddings().register_forward_hook(count)
    found = answer(model, prompts(), Sampling(temperature=1), samples=4, room=Room(8, 10_000), new=40)

    assert len({len(tokens) for tokens in found}) > 3
    assert sum(computed) == sum(LENGTHS) + sum(len(tokens) - 1 for tokens in found)
    steps = [width for width, before in zip(widths[1:], widths, strict=False) if width <= 8 and before <= 8]
    assert max(steps) == 8


def test_answers_that_share_a_model_may_take_turns() -> None:
    """Two streams of one model keep apart what they have computed."""
    model = build("qwen3", {})
    expected = theirs(model, prompts()[1:3])
    attention.use(model)
    found = structure.of(model.config, model.config._attn_implementation)
    rows = [rows_of([prompt], 1, 14) for prompt in prompts()[1:3]]
    going = [Shared(model, found, ENDS, GREEDY).answer(together(some, 64), WIDE) for some in rows]

    while going:
        going = [one for one in going if next(one, "over") is None]

    assert [some[0].produced for some in rows] == expected


def test_adapters_that_are_not_merged_answer_as_merged_ones(tmp_path: Any) -> None:
    """A run samples from the model as it trains it."""
    model = build("llama", {})
    adapted: Any = add_adapters(model, LoraTuning(rank=4), tmp_path)
    torch.manual_seed(1)
    with torch.no_grad():
        for name, parameter in adapted.named_parameters():
            if "lora_B" in name:
                parameter.normal_(std=0.2)

    found = answer(adapted.eval(), prompts(), samples=2)

    merged = adapted.merge_and_unload()
    assert found[::2] == theirs(merged, prompts())
    assert found[::2] != answer(build("llama", {}), prompts())


def test_bf16_answers_are_those_of_the_model_up_to_rounding() -> None:
    """Every token is the model's most probable one, or as probable as bf16 can tell."""
    model = build("mistral", {"sliding_window": 8}).bfloat16()

    for prompt, tokens in zip(prompts(), answer(model, prompts()), strict=True):
        logits = model(torch.tensor([prompt + tokens[:-1]])).logits[0, len(prompt) - 1 :].float()
        chosen = logits.gather(1, torch.tensor(tokens)[:, None])[:, 0]
        assert bool((logits.amax(1) - chosen <= 0.02 * logits.abs().amax(1)).all())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_attention_to_a_part_is_the_same_by_kernel_and_by_hand(dtype: torch.dtype) -> None:
    """What other devices compute is what the kernel of a CPU does, also where a row sees nothing of the part."""
    torch.manual_seed(0)
    query, keys, values = (torch.randn(3, 2, size, 8, dtype=dtype) for size in (4, 9, 9))
    mask = torch.zeros(3, 1, 1, 9, dtype=dtype)
    mask[1, ..., 5:] = mask[2] = torch.finfo(dtype).min

    one, other = _fused(query, keys, values, mask, 0.3), _plain(query, keys, values, mask, 0.3)

    allowed = 1e-6 if dtype == torch.float32 else 0.03
    torch.testing.assert_close(one[0][:2], other[0][:2], rtol=0, atol=allowed)
    torch.testing.assert_close(one[1][:2], other[1][:2], rtol=0, atol=allowed)
    assert bool((torch.stack([one[1][2], other[1][2]]) < -1e30).all())


def test_the_room_is_what_memory_allows() -> None:
    """A token of this model keeps keys and values of 2 heads of 8 in 2 layers, 4 bytes each."""
    model = build("llama", {})
    whole, half = room_for(model), room_for(model.bfloat16())

    assert 0 < whole.tokens <= (2 << 30) // (2 * 2 * 2 * 8 * 4)
    assert half.tokens > 1.5 * whole.tokens


def test_prompts_with_more_rows_than_there_is_room_for_are_divided() -> None:
    """Longest first, each piece with its prompt, in the order of its rows."""
    rows = rows_of([[1], [2, 3]], 5, 4)

    found = together(rows, 3)

    assert [one.ids for one in found] == [[2, 3], [2, 3], [1], [1]]
    assert [row for one in found for row in one.rows] == rows[5:] + rows[:5]
