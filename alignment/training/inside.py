"""What a model computes on its way to its logits, where response tokens are predicted: what its layers say, and how
active its parts are."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn

from alignment.objectives.batch import OWN, REFERENCE, OtherValue, beside
from alignment.training import precision
from alignment.training.errors import CheckpointRefused
from alignment.training.spec import Spec

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from alignment.objectives import Own

PARTS = (("attn", "attention"), ("mlp", "feed_forward", "ffn", "moe", "fc2"))
"""What architectures call the attention and the feed-forward network of a layer."""
NO_PARTS = ("norm", "dropout", "ln_")


Found = dict[tuple[int, int], Tensor]


class Look(NamedTuple):
    """What is wanted of a model's inside: the hidden state after each layer, how active it is, or nothing."""

    states: bool = False
    activity: bool = False


NOTHING = Look()


def look_of(asked: frozenset[str], model: str) -> Look:
    """What these values of tokens want of the inside of another model."""
    own = any(name.startswith(f"{OWN}/") for name in asked)
    return Look(own and model == REFERENCE, beside(model, OtherValue.ACTIVITY) in asked)


class Seen:
    """What was seen of a model while it was watched, by layer and part: hidden states (P, D) of whole layers, which are
    part 0, and means of activations (P,)."""

    def __init__(self) -> None:
        self._states: Found = {}
        self._means: Found = {}

    def states(self) -> Tensor | None:
        """The hidden states after all layers, (P, layers, D); None where nobody wanted them."""
        return torch.stack([self._states[place] for place in sorted(self._states)], dim=1) if self._states else None

    def activity(self, logits: Tensor, response: Tensor, responses: int) -> Tensor:
        """How active the model is at each token, (P,), with the mean of its `logits` (P,) as one part more.

        Each part's mean is measured from its mean over the tokens of the same response, in its standard deviations
        there, and all parts are averaged (Christopoulou et al. 2024, arXiv 2410.05102, section 3.2).
        """
        means = torch.stack([*(self._means[place] for place in sorted(self._means)), logits], dim=1)
        counts = response.bincount(minlength=responses)[:, None]
        empty = means.new_zeros(responses, means.shape[1])
        apart = means - (empty.index_add(0, response, means) / counts)[response]
        spread = (empty.index_add(0, response, apart.square()) / counts).sqrt()
        return (apart / spread[response].clamp(min=torch.finfo(means.dtype).tiny)).mean(dim=1)


@contextmanager
def watched(model: nn.Module, source: Tensor, look: Look) -> Iterator[Seen]:
    """While the model computes, what is wanted of its inside at the positions `source` (P,) of its flattened rows."""
    seen, hooks = Seen(), []
    for place, layer in enumerate(layers_of(model) if any(look) else ()):
        if look.states:
            hooks.append(layer.register_forward_hook(_keeping(seen._states, (place, 0), source, lambda values: values)))
        if look.activity:
            for part, module in enumerate((layer, *_parts(layer))):
                hooks.append(module.register_forward_hook(_keeping(seen._means, (place, part), source, _mean)))
    try:
        yield seen
    finally:
        for hook in hooks:
            hook.remove()


def _mean(values: Tensor) -> Tensor:
    return values.mean(dim=1, dtype=torch.promote_types(values.dtype, torch.float32))


def _keeping(
    found: Found, key: tuple[int, int], source: Tensor, made: Callable[[Tensor], Tensor]
) -> Callable[[nn.Module, object, Tensor | tuple[Tensor, ...]], None]:
    def keep(module: nn.Module, inputs: object, output: Tensor | tuple[Tensor, ...]) -> None:  # noqa: ARG001
        whole = output[0] if isinstance(output, tuple) else output
        found[key] = made(whole.detach().reshape(-1, whole.shape[-1])[source])

    return keep


def own_modules(spec: Spec, reference: PreTrainedModel) -> Own | None:
    """What the objective trains beside the model, for the inside of its reference, in the type of adapters.

    Raises CheckpointRefused when it reads what the reference's architecture does not show.
    """
    if spec.objective.needs.heads:
        own = spec.objective.own_modules(1, reference.config.get_text_config().hidden_size)
        return None if own is None else own._replace(module=own.module.to(precision.of_adapters(spec)))
    look = look_of(spec.objective.needs.asked, REFERENCE)
    if not any(look):
        return None
    config, layers = reference.config.get_text_config(), layers_of(reference)
    if len(layers) != config.num_hidden_layers or (look.activity and not all(map(_parts, layers))):
        raise CheckpointRefused(
            f"{spec.objective.title} reads what layers compute, and {config.model_type} does not show where.",
            "Choose another objective, or a checkpoint of another architecture.",
            "objective",
        )
    own = spec.objective.own_modules(len(layers), config.hidden_size)
    return None if own is None else own._replace(module=own.module.to(precision.of_adapters(spec)))


def layers_of(model: nn.Module) -> list[nn.Module]:
    """The decoder layers, which the architecture names as what must not be split."""
    names = {name for module in model.modules() for name in getattr(module, "_no_split_modules", None) or ()}
    # of all classes of a module, since FSDP puts its own before the architecture's
    return [module for module in model.modules() if any(kind.__name__ in names for kind in type(module).__mro__)]


def _parts(layer: nn.Module) -> list[nn.Module]:
    """The attention and the feed-forward network of a layer, however many modules they are; empty where one lacks."""
    children = [(name, child) for name, child in layer.named_children() if not any(no in name for no in NO_PARTS)]
    found = [[child for name, child in children if any(called in name for called in part)] for part in PARTS]
    return [child for part in found for child in part] if all(found) else []
