"""What a step costs is counted as the arithmetic has it, and peaks are those of the accelerator at hand."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from alignment.objectives.dpo import DPO
from alignment.training import structure, throughput
from alignment.training.data import Example
from alignment.training.encode import Encoded
from alignment.training.flops import Work
from alignment.training.ranks import Ranks
from alignment.training.rows import arrange
from alignment.training.scorer import Scorer
from alignment.training.scoring import Scoring
from tests.alignment.training.test_sharing import CPU, EXPERTS, VOCABULARY, build


@pytest.mark.parametrize(
    ("kind", "parts"), [("llama", {}), ("qwen3", {"tie_word_embeddings": True}), ("gpt_neox", {})], ids=str
)
def test_flops_are_those_of_a_counted_step(kind: str, parts: dict[str, object]) -> None:
    """Forward and backward over one sequence take what torch counts, where attention masks nothing away."""
    model = build(kind, parts)
    model.set_attn_implementation("eager")
    ids = torch.randint(3, VOCABULARY, (1, 40))
    counter = FlopCounterMode(display=False)
    with counter:
        torch.autograd.backward(model(ids).logits.sum())

    found = throughput.work(model)

    expected = found.token * 40 + found.position * 40 + found.pair * 40 * 40
    assert counter.get_total_flops() == pytest.approx(expected, rel=0.03)


def test_only_the_chosen_experts_cost() -> None:
    """A token passes through two of four experts, or through all of them."""
    some, every = (
        throughput.work(build("mixtral", EXPERTS | {"num_local_experts": 4, "num_experts_per_tok": choices}))
        for choices in (2, 4)
    )
    experts = 2 * 3 * 48 * 32 * 4  # layers, matrices, sizes, experts

    assert every.token - some.token == pytest.approx(6 * experts / 2)


def test_frozen_weights_have_no_gradient_of_their_own() -> None:
    """Beside adapters, a weight costs its two products for the values and their gradients."""
    model = build("llama", {})
    whole = throughput.work(model)
    model.requires_grad_(False)

    assert throughput.work(model).token == pytest.approx(whole.token * 4 / 6)


def test_sharing_a_prompt_saves_what_it_costs() -> None:
    """A prompt of 4 and responses of 2 and 3: once, or with each of them."""
    one = Encoded(Example("0", "train", [], ({}, {})), [5] * 4, ([6] * 2, [7] * 3), ())
    work = Work(token=1, position=100, pair=10_000)

    assert throughput.needed(work, [one], shared=True) == 9 + 500 + 10_000 * (10 + 3 + 8 + 6 + 12)
    assert throughput.needed(work, [one], shared=False) == 13 + 500 + 10_000 * (21 + 28)


@pytest.mark.parametrize(
    ("path", "tokens", "sharing", "padding"),
    [("shared", 16, 25 / 18, 0), ("plain", 16, 1, 5 / 30), ("plain", 32, 1, 7 / 32)],
)
def test_what_sharing_saves_and_what_is_padding(path: str, tokens: int, sharing: float, padding: float) -> None:
    """Prompts of 4 and 3 tokens, with responses of 2 and 3, 1 and 5: sequences of 25 tokens, 18 where prompts are
    shared.  Alone they are 2 rows of 7 and 2 of 8, where packs hold two rows; else 4 of 8."""
    example = Example("0", "train", [], ({}, {}))
    some = [Encoded(example, [5] * 4, ([6] * 2, [7] * 3), ()), Encoded(example, [5] * 3, ([6], [7] * 5), ())]
    model = build("llama", {})
    scorer = Scorer(model, "fp32")
    rows = arrange(model, CPU) if path == "shared" else structure.plain("asked")

    values = throughput.Meter(model, Scoring(scorer, scorer, DPO(), rows, 0, tokens, Ranks(CPU))).values(some, 0.5)

    assert values["throughput/sharing_factor"] == pytest.approx(sharing)
    assert values["throughput/padding_share"] == pytest.approx(padding)
    assert values["throughput/tokens_per_second"] == 50
    assert values["throughput/examples_per_second"] == 4


@pytest.mark.parametrize(
    ("device", "half", "expected"),
    [
        ("NVIDIA H200", True, 989e12),
        ("NVIDIA H100 80GB HBM3", False, 67e12),
        ("NVIDIA H100 PCIe", True, 756e12),
        ("NVIDIA A100-SXM4-80GB", True, 312e12),
        ("NVIDIA L40S", True, 362e12),
        ("NVIDIA L4", True, 121e12),
        ("NVIDIA RTX 6000 Ada Generation", True, 364e12),
        ("NVIDIA GeForce RTX 4090", False, 82.6e12),
        ("Radeon of tomorrow", True, None),
        ("", True, None),
    ],
)
def test_a_peak_belongs_to_its_accelerator(device: str, half: bool, expected: float | None) -> None:
    """The longest name that fits decides; an unknown device has no peak, and no share of one is told."""
    assert throughput.peak(device, half=half) == expected
