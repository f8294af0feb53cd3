"""Norms and feed-forward networks that keep less for the backward pass compute what the model's own do."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from transformers import PreTrainedModel

from alignment.training import lean
from alignment.training.model import add_adapters
from alignment.training.spec import LoraTuning
from tests.alignment.training.test_sharing import EXPERTS, VOCABULARY, build

NORMS, NETWORKS = 5, 2  # of two layers
FAMILIES = {
    "llama": NORMS + NETWORKS,
    "mistral": NORMS + NETWORKS,
    "qwen2": NORMS + NETWORKS,
    "qwen3": NORMS + 4 + NETWORKS,  # queries and keys have norms of their own
    "granite": NORMS + NETWORKS,
    "smollm3": NORMS + NETWORKS,
    "phi3": NORMS,  # whose network has one projection for two
    "mixtral": NORMS,  # whose networks are experts
    "gemma": NETWORKS,  # whose norms add one to their weights
    "olmo2": NETWORKS,  # whose norms round at another place
    "gpt_neox": 0,
}
Change = Callable[[PreTrainedModel], object]


def known(model: nn.Module) -> int:
    return sum("forward" in vars(module) for module in model.modules())


def learned(model: PreTrainedModel, *, autocast: bool = False) -> tuple[Tensor, dict[str, Tensor], int]:
    """Logits, gradients, and how many values were kept for them."""
    kept = 0

    def keep(value: Tensor) -> Tensor:
        nonlocal kept
        kept += 0 if isinstance(value, nn.Parameter) else value.numel()
        return value

    draws = torch.Generator().manual_seed(3)
    with saved_tensors_hooks(keep, lambda value: value), torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        logits = model(torch.randint(3, VOCABULARY, (2, 24), generator=draws)).logits
    torch.autograd.backward(logits.float().log_softmax(-1).square().mean())
    slopes = {name: one.grad for name, one in model.named_parameters() if one.grad is not None}
    return logits.detach(), slopes, kept


def pair(kind: str, change: Change = lambda model: model) -> tuple[PreTrainedModel, PreTrainedModel]:
    """A model as it is, and one with the same weights that keeps less."""
    own, other = (build(kind, EXPERTS | {"num_local_experts": 4} if kind == "mixtral" else {}) for _ in range(2))
    for model in (own, other):
        torch.manual_seed(1)
        change(model)
    lean.use(other)
    return own, other


def same(
    own: PreTrainedModel, other: PreTrainedModel, within: float = 2e-6, *, autocast: bool = False
) -> tuple[int, int]:
    """Values to the last bit, and gradients up to rounding; how many values each of the two keeps."""
    (logits, slopes, kept), (found, again, less) = (learned(model, autocast=autocast) for model in (own, other))
    assert torch.equal(found, logits)
    assert again.keys() == slopes.keys()
    for name, slope in slopes.items():
        torch.testing.assert_close(again[name], slope, rtol=0, atol=within * float(slope.abs().max()), msg=name)
    return kept, less


@pytest.mark.parametrize("kind", FAMILIES)
def test_every_known_family_computes_the_same_and_keeps_less(kind: str) -> None:
    """Modules are known by their code, and those of other code stay as they are."""
    own, other = pair(kind)

    kept, less = same(own, other)

    assert known(other) == FAMILIES[kind]
    assert less < kept if FAMILIES[kind] else less == kept


@pytest.mark.parametrize("way", ["bf16", "autocast"])
def test_rounding_to_bf16_happens_where_it_did(way: str) -> None:
    """Weights in bf16, and bf16 under autocast."""
    own, other = pair("qwen3", lambda model: model.bfloat16() if way == "bf16" else model)

    same(own, other, within=2e-2, autocast=way == "autocast")


class Trained(nn.Module):
    """An activation with a weight, as `prelu` and `xielu` have."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(0.3))

    def forward(self, values: Tensor) -> Tensor:
        return torch.where(values > 0, values, values * self.weight)


def test_what_an_activation_learns_is_learned() -> None:
    """A network whose activation has weights keeps its own forward."""

    def bend(model: PreTrainedModel) -> None:
        for name, module in model.named_modules():
            if name.endswith("mlp"):
                module.act_fn = Trained()

    own, other = pair("llama", bend)
    same(own, other)

    assert sum(name.endswith("act_fn.weight") for name, one in other.named_parameters() if one.grad is not None) == 2


def test_networks_with_biases_keep_their_own_forward() -> None:
    """The Function of the others knows none."""
    own, other = (build("llama", {"mlp_bias": True}) for _ in range(2))
    for name, parameter in [*own.named_parameters(), *other.named_parameters()]:
        if name.endswith("bias"):
            nn.init.constant_(parameter, 0.1)
    lean.use(other)

    same(own, other)

    assert all(one.grad is not None for name, one in other.named_parameters() if name.endswith("bias"))


def test_adapters_keep_the_networks_own_forward() -> None:
    """A last layer with an adapter beside it is computed once, and trains as it did."""
    calls = 0

    def count(*_: object) -> None:
        nonlocal calls
        calls += 1

    def adapt(model: PreTrainedModel) -> None:
        adapted = add_adapters(model, LoraTuning(rank=4, alpha=4), Path("base"))
        for parameter in adapted.parameters():
            if parameter.requires_grad:
                nn.init.normal_(parameter, std=0.1)

    own, other = pair("llama", adapt)
    for name, module in other.named_modules():
        if name.endswith("down_proj.base_layer"):
            module.register_forward_hook(count)

    same(own, other)

    assert known(other) == FAMILIES["llama"]
    assert calls == NETWORKS


@pytest.mark.parametrize("part", ["gate_proj", "up_proj", "down_proj", "act_fn"])
def test_whoever_watches_a_part_sees_it_once(part: str) -> None:
    """A network whose parts are watched calls them as it did."""
    calls = 0

    def count(*_: object) -> None:
        nonlocal calls
        calls += 1

    own, other = pair("llama")
    for name, module in other.named_modules():
        if name.endswith(part):
            module.register_forward_hook(count)

    same(own, other)

    assert calls == NETWORKS


def test_a_module_with_a_forward_of_its_own_keeps_it() -> None:
    """Whoever replaced it before is not replaced."""
    model = build("llama", {})
    norm = model.get_submodule("model.norm")
    before = norm.forward = nn.Identity().forward

    lean.use(model)

    assert norm.forward is before
    assert known(model) == FAMILIES["llama"]


def test_frozen_weights_get_no_gradient() -> None:
    """And what stands before them still does."""

    def freeze(model: PreTrainedModel) -> None:
        for name, parameter in model.named_parameters():
            parameter.requires_grad_("norm" not in name and "down_proj" not in name)

    same(*pair("qwen2", freeze))
