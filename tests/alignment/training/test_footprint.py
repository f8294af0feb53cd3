"""What layers keep for the backward pass is what the estimate counts, within a quarter."""

from pathlib import Path
from typing import Any

import pytest
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks
from transformers import PreTrainedModel

from alignment.training import footprint, layout
from alignment.training.folder import CheckpointFacts
from alignment.training.footprint import LEAN, Work
from alignment.training.model import add_adapters
from alignment.training.rows import arrange
from alignment.training.spec import LoraTuning
from tests.alignment.training.test_sharing import CPU, build, examples

WIDE = {"hidden_size": 128, "intermediate_size": 344, "head_dim": 32, "num_key_value_heads": 4}
KINDS = [*sorted(LEAN), "qwen3", "olmo2", "olmo3", "gemma3_text", "llama, biased", "llama, adapters", "qwen2, adapters"]


def kept(model: PreTrainedModel) -> tuple[int, int]:
    """Bytes that autograd keeps of a row of pairs, whose weights are there anyway; and its tokens."""
    rows = arrange(model, CPU)
    some = [one for one in examples() if len(one.responses) == 2]
    laid = layout.shared(some, rows, CPU) if rows.shared else layout.plain(some, 0, CPU)
    fixed = {one.untyped_storage().data_ptr() for one in (*model.parameters(), *model.buffers())}
    found: dict[int, Tensor] = {}

    def keep(value: Tensor) -> Tensor:
        found[value.untyped_storage().data_ptr()] = value
        return value

    with saved_tensors_hooks(keep, lambda value: value):
        model.base_model(
            input_ids=laid.ids, position_ids=laid.positions, attention_mask=rows.mask(laid.masks), use_cache=False
        )
    size = sum(value.untyped_storage().nbytes() for place, value in found.items() if place not in fixed)
    return size, laid.ids.numel()


def made(kind: str, layers: int) -> tuple[PreTrainedModel, CheckpointFacts]:
    name, _, more = kind.partition(", ")
    parts: dict[str, Any] = {"num_hidden_layers": layers} | ({"mlp_bias": True} if more == "biased" else {})
    model = build(name, WIDE | parts)
    linear = tuple(
        (name, *one.shape) for name, one in model.named_parameters() if one.dim() == 2 and ".layers." in name
    )
    facts = CheckpointFacts(Path(), False, None, "", 0, 0, None, layers, 128, 99, linear, name, biased=more == "biased")
    if more == "adapters":
        model = add_adapters(model, LoraTuning(rank=4, alpha=4), Path("base"))
    return model, facts


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_layer_keeps_is_as_estimated(kind: str) -> None:
    """Counted in layers that are wide beside what is counted of each token alone."""
    (few, _), (many, facts) = made(kind, 1), made(kind, 3)
    (less, tokens), (more, _) = kept(few), kept(many)
    work = Work(tokens, 0.5, 0, lora="adapters" in kind, precision="fp32", device="cpu", shared=True)

    told = footprint._of_token(facts, work)

    assert 0.75 <= told / ((more - less) / 2 / tokens) <= 1.35
