"""Reduced precision: what is trained moves as in fp32, however small the steps, and is saved as what it is."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from alignment.training import Spec, train
from alignment.training.adamw import AT_ONCE, MasteredAdamW, join, split
from alignment.training.errors import BadSpec
from alignment.training.model import load_tokenizer
from alignment.training.prepare import build
from alignment.training.requirements import require_supported
from alignment.training.step import Learner
from tests.alignment.training.conftest import MakeSpec
from tests.alignment.training.test_step import STATE, encoded, nothing

STEPS = 200
PARTS: list[Any] = [{"kind": "full"}, {"kind": "lora", "rank": 4, "alpha": 8}]


def learner_of(make_spec: MakeSpec, **parts: Any) -> Learner:
    spec = Spec.model_validate(make_spec(**parts))
    return build(spec, load_tokenizer(spec.checkpoint), 10)[0]


@pytest.mark.parametrize("value", [1.0, -1.0, 0.02, -3e-5, 0.0, 1e-42, 3e38, 1.00390625, 1.001953125])
def test_a_master_is_its_weight_and_the_bits_beside_it(value: float) -> None:
    """Nothing is lost between a float32 number and its two halves, and the weight is the nearest there is."""
    master = torch.tensor([value]) * (1 + torch.arange(-600, 600) / 131072)

    weight, rest = split(master)

    assert torch.equal(join(weight, rest), master)
    assert torch.all((weight.float() - master).abs() <= (master.bfloat16().float() - master).abs())


def moved(weight: nn.Parameter, slopes: Tensor, optimizer: torch.optim.Optimizer) -> None:
    for slope in slopes:
        weight.grad = slope.to(weight.dtype)
        optimizer.step()


def test_masters_move_as_float32_weights_do() -> None:
    """After many tiny steps the masters are where AdamW brings float32 weights; weights in bf16 have not moved."""
    torch.manual_seed(0)
    start, slopes = torch.randn(40).bfloat16(), torch.randn(STEPS, 40).bfloat16() + 0.5
    settings: dict[str, Any] = {"lr": 1e-6, "weight_decay": 0.01}
    exact, plain, own = (nn.Parameter(start.to(dtype)) for dtype in (torch.float32, torch.bfloat16, torch.bfloat16))
    optimizer = MasteredAdamW([own], **settings)

    moved(exact, slopes, torch.optim.AdamW([exact], **settings))
    moved(plain, slopes, torch.optim.AdamW([plain], **settings))
    moved(own, slopes, optimizer)

    way = exact.detach() - start.float()
    master = join(own.detach(), optimizer.state[own]["rest"])
    torch.testing.assert_close(master - start.float(), way, rtol=1e-2, atol=2e-7)
    assert way.abs().min() > 1e-6
    assert torch.equal(plain, start)  # the known failure
    assert torch.equal(own, master.bfloat16())


def test_large_weights_are_moved_piece_by_piece() -> None:
    """What is more than one piece, or lies crosswise in memory, moves like the rest."""
    torch.manual_seed(0)
    start, slope = torch.randn(3, AT_ONCE // 2).bfloat16(), torch.randn(3, AT_ONCE // 2).bfloat16()
    whole, crosswise = nn.Parameter(start.clone()), nn.Parameter(start.t().contiguous().t())
    for weight in (whole, crosswise):
        weight.grad = slope
        MasteredAdamW([weight], lr=0.1, weight_decay=0.0).step()

    assert torch.equal(whole, crosswise)
    assert not torch.any(whole == start)


def test_an_optimizer_goes_on_from_its_state() -> None:
    """Moments and masters come back as they were, in float32: the same weights follow, bit for bit."""
    torch.manual_seed(0)
    slopes = torch.randn(10, 30)
    weight = nn.Parameter(torch.randn(30).bfloat16())
    first = MasteredAdamW([weight], lr=1e-4, weight_decay=0.0)
    moved(weight, slopes[:5], first)
    again = nn.Parameter(weight.detach().clone())
    second = MasteredAdamW([again], lr=1.0, weight_decay=1.0)

    second.load_state_dict(first.state_dict())
    moved(weight, slopes[5:], first)
    moved(again, slopes[5:], second)

    assert torch.equal(weight, again)
    assert all(torch.equal(value, second.state[again][name]) for name, value in first.state[weight].items())
    assert first.state[weight]["exp_avg"].dtype == torch.float32


@pytest.mark.parametrize("tuning", PARTS, ids=["full", "lora"])
@pytest.mark.parametrize("precision", ["bf16", "pure_bf16"])
def test_reduced_precision_follows_fp32(make_spec: MakeSpec, precision: str, tuning: dict[str, Any]) -> None:
    """Over five steps the loss and the gradient's norm stay within 2 % of those in fp32, and the norm is float32."""
    examples = encoded(8)
    exact, narrow = (learner_of(make_spec, precision=name, tuning=tuning) for name in ("fp32", precision))
    told = []
    for learner in (exact, narrow):
        reference = [torch.zeros(2) for _ in examples]
        told.append([learner.update(examples, reference, STATE, nothing).metrics for _ in range(5)])

    for one, other in zip(*told, strict=True):
        assert other["loss"] == pytest.approx(one["loss"], rel=0.02, abs=0.02)
        assert other["grad_norm"] == pytest.approx(one["grad_norm"], rel=0.02)
    assert any(other["grad_norm"] != float(torch.tensor(other["grad_norm"]).bfloat16()) for other in told[1])


@pytest.mark.parametrize("tuning", PARTS, ids=["full", "lora"])
def test_tiny_rates_are_not_lost(make_spec: MakeSpec, tuning: dict[str, Any]) -> None:
    """At a rate at which bf16 weights would stand still, masters move in pure bf16 as far as they do in fp32."""
    rate, examples = 1e-6, encoded(8)
    ways = []
    for precision in ("fp32", "pure_bf16"):
        learner = learner_of(
            make_spec,
            precision=precision,
            tuning=tuning,
            optimizer={"learning_rate": rate, "warmup_ratio": 0, "schedule": "constant"},
        )
        before = [parameter.detach().clone() for parameter in learner.parameters]
        for _ in range(3):
            learner.update(examples, [torch.zeros(2) for _ in examples], STATE, nothing)
        ways.append(sum(float((now - then).abs().sum()) for now, then in zip(masters(learner), before, strict=True)))

    assert ways[1] == pytest.approx(ways[0], rel=0.1)
    assert ways[0] > 0


def masters(learner: Learner) -> list[Tensor]:
    kept = learner.optimizer.state
    return [
        join(weight.detach(), kept[weight]["rest"]) if weight.dtype == torch.bfloat16 else weight.detach()
        for weight in learner.parameters
    ]


@pytest.mark.parametrize(
    ("precision", "tuning", "dtype"),
    [
        ("fp32", PARTS[0], torch.float32),
        ("bf16", PARTS[0], torch.float32),
        ("pure_bf16", PARTS[0], torch.bfloat16),
        ("bf16", PARTS[1], torch.float32),
        ("pure_bf16", PARTS[1], torch.bfloat16),
    ],
)
def test_checkpoints_hold_what_was_trained(
    make_spec: MakeSpec, tmp_path: Path, precision: str, tuning: dict[str, Any], dtype: torch.dtype
) -> None:
    """Weights are saved in the type they are trained in, and rewards begin at zero in every precision."""
    out = tmp_path / "out"
    summary = train(make_spec(precision=precision, tuning=tuning, duration={"steps": 1}), out)

    saved = load_file(next((out / "checkpoints" / "1").glob("*.safetensors")))
    assert {value.dtype for value in saved.values()} == {dtype}
    assert summary.metrics["rewards/margins"] == pytest.approx(0, abs=1e-4)


def test_another_reference_goes_the_same_way(make_spec: MakeSpec, base: Path, tmp_path: Path) -> None:
    """A reference of its own, here the same weights, agrees with the policy at the first step in pure bf16 too."""
    spec = make_spec(precision="pure_bf16", reference=str(base), duration={"steps": 1})

    assert train(spec, tmp_path / "out").metrics["rewards/margins"] == pytest.approx(0, abs=1e-4)


def test_masters_are_not_sharded(make_spec: MakeSpec) -> None:
    """What cannot be honored is refused at its field."""
    with pytest.raises(BadSpec) as refused:
        require_supported(Spec.model_validate(make_spec(precision="pure_bf16", devices=2, parallel="fsdp")))

    assert refused.value.field == "precision"
