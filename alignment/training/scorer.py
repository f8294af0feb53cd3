"""Summed log-probabilities of responses: backbone, projection and sums in one forward, wrapped as a whole."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple, cast

import torch
from torch import Tensor, nn

from alignment.objectives.batch import HEAD, OWN, REFERENCE, OtherValue, StepValue, TokenValue, added, beside, own, step
from alignment.training import inside, routing
from alignment.training.model import dropout_off
from alignment.training.structure import Structure
from alignment.training.vocabulary import (
    NOBODY,
    Bend,
    Values,
    Voice,
    Voices,
    models_of,
    of_logits,
    product_type,
    token_values,
    values_of,
)

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from alignment.training.anchor import Anchor
    from alignment.training.layout import Layout

PROBE = 4  # tokens on which the projection of our own is compared with the model's


LOGPS: frozenset[str] = frozenset({TokenValue.LOGPS})
Mask = Tensor | dict[str, Tensor] | None


class Scores(NamedTuple):
    """What a pass over some sequences gives: per response (S,), float32; per token (T,) what was asked for.

    Tokens lie in the order of the responses.  A head with several labels gives (S, labels) in the place of `logps`.
    """

    logps: Tensor
    lengths: Tensor
    response: Tensor  # (T,): which response each token belongs to
    tokens: Values
    routed: Tensor | None = None  # (2, E): what `routing.routed` says of a mixture of experts

    def sums(self, name: str) -> Tensor:
        """A token value added up over each response, (S,)."""
        return added(self.tokens[name], self.response, len(self.lengths))


class Scorer(nn.Module):
    """Log-probabilities of responses under a model, summed over their tokens, and what an objective's `own` modules say
    of each.

    Only positions where a response token is predicted are projected to the vocabulary; log-softmax is in float32, and
    sums are in double precision.  Models whose logits are not known to be made of such a projection are asked for the
    logits themselves.
    """

    def __init__(self, model: PreTrainedModel, precision: str, own: nn.Module | None = None) -> None:
        super().__init__()
        self.model = model
        self.shape: tuple[int, ...] = ()  # of what it says of each response
        self.own = own
        self.anchor: Anchor | None = None  # which then is the reference
        self.exact = precision == "fp32"
        self._bend = _bend(model)
        self.router_weight = routing.coefficient(model.config) if self._bend is not None else 0.0
        self.experts = routing.experts(model.config)
        self.choices = int(getattr(model.config.get_text_config(), "num_experts_per_tok", None) or 1)

    def forward(
        self,
        layout: Layout,
        structure: Structure,
        asked: frozenset[str] = frozenset(),
        route: bool = False,
        voices: Voices = NOBODY,
    ) -> Scores:
        """Scores of the layout's responses, in its order, with the token values and the routing asked for.

        `voices` are what other models say there; a reference that is asked and is not among them is this model as its
        anchor, or without its adapters.
        """
        mask, wanted = structure.mask(layout.masks), of_logits(asked) | LOGPS
        with self._arithmetic(layout):
            if models_of(asked) & {REFERENCE, OWN} and REFERENCE not in voices:
                standing = adapters_off(self.model) if self.anchor is None else self.anchor.stands()
                with standing, torch.no_grad():
                    look = inside.look_of(asked, REFERENCE)
                    voices = {**voices, REFERENCE: self._voice(layout, mask, look)}
            if self._bend is None:
                found, routed = self._by_logits(layout, mask, wanted, voices), None
            else:
                route = route and self.router_weight > 0
                heads = any(name.startswith(f"{HEAD}/") for name in asked)
                found, routed = self._linear(layout, mask, wanted, route, voices, heads=heads)
        found |= self._of_inside(layout, voices)
        logps = found[TokenValue.LOGPS]
        sums = added(logps, layout.response, len(layout.lengths))
        told = {name: value for name, value in found.items() if name in asked}
        return Scores(sums, layout.lengths, layout.response, told, routed)

    @torch.no_grad()
    def voice(self, layout: Layout, structure: Structure, look: inside.Look = inside.NOTHING) -> Voice:
        """What the model says where the layout's response tokens are predicted, for another one to be compared with."""
        with self._arithmetic(layout):
            return self._voice(layout, structure.mask(layout.masks), look)

    @torch.no_grad()
    def read(self, layout: Layout, structure: Structure) -> Tensor:
        """The last hidden state, averaged over the positions where tokens of each of the layout's responses are
        predicted, (S, D), under the model without its adapters."""
        with self._arithmetic(layout), adapters_off(self.model):
            hidden, _ = self._hidden(layout, structure.mask(layout.masks), route=False)
        found = hidden.new_zeros(len(layout.lengths), hidden.shape[1], dtype=torch.float32)
        return found.index_add(0, layout.response, hidden.float()) / layout.lengths[:, None]

    def _voice(self, layout: Layout, mask: Mask, look: inside.Look) -> Voice:
        with inside.watched(self.model, layout.source, look) as seen:
            if self._bend is None:
                found = Voice(self._logits(layout, mask))
            else:
                hidden, _ = self._hidden(layout, mask, route=False)
                head = self._head
                found = Voice(hidden, head.weight.detach().to(product_type(head.weight)), head.bias, self._bend)
        activity = seen.activity(found.means(), layout.response, len(layout.lengths)) if look.activity else None
        return replace(found, states=seen.states(), activity=activity)

    def _of_inside(self, layout: Layout, voices: Voices) -> Values:
        """What is told by the insides of other models that were looked into, alone or through the own modules."""
        found = {
            beside(name, OtherValue.ACTIVITY): voice.activity
            for name, voice in voices.items()
            if voice.activity is not None
        }
        states = voices[REFERENCE].states if REFERENCE in voices else None
        if self.own is not None and states is not None:
            with torch.autocast(layout.ids.device.type, enabled=False):
                said = self.own(states.to(next(self.own.parameters()).dtype))
            found |= {own(name): values.float() for name, values in said.items()}
        return found

    def _arithmetic(self, layout: Layout) -> AbstractContextManager[object]:
        device = layout.ids.device.type  # on a CPU other threads would empty the cache of weights, which is one for all
        return nullcontext() if self.exact else torch.autocast(device, torch.bfloat16, cache_enabled=device != "cpu")

    @property
    def _head(self) -> nn.Linear:
        return cast("nn.Linear", unadapted(self.model).get_output_embeddings())  # type: ignore[no-untyped-call]

    def _hidden(self, layout: Layout, mask: Mask, *, route: bool) -> tuple[Tensor, tuple[Tensor, ...]]:
        """The last hidden states (P, D) where response tokens are predicted, and what the routers said."""
        more = {"output_router_logits": True} if route else {}
        output = unadapted(self.model).base_model(
            input_ids=layout.ids, position_ids=layout.positions, attention_mask=mask, use_cache=False, **more
        )
        return output.last_hidden_state.flatten(0, 1)[layout.source], output.router_logits if route else ()

    def _linear(
        self, layout: Layout, mask: Mask, asked: frozenset[str], route: bool, voices: Voices, *, heads: bool
    ) -> tuple[Values, Tensor | None]:
        hidden, routers = self._hidden(layout, mask, route=route)
        head, bend = self._head, cast("Bend", self._bend)
        found = token_values(hidden, head.weight, head.bias, layout.target, asked, bend, voices)
        found |= self._of_heads(hidden) if heads else {}
        found |= _of_steps(layout, hidden)
        return found, routing.routed(routers, layout.weights, self.choices) if route else None

    def _of_heads(self, hidden: Tensor) -> Values:
        """What the own modules tell of the policy's hidden states (P, D)."""
        own = cast("nn.Module", self.own)
        with torch.autocast(hidden.device.type, enabled=False):
            said = own(hidden.to(next(own.parameters()).dtype))
        return {f"{HEAD}/{name}": values.float() for name, values in said.items()}

    @property
    def linear(self) -> bool:
        """Whether logits are made of a projection of the last hidden states, which are then known."""
        return self._bend is not None

    def _by_logits(self, layout: Layout, mask: Mask, asked: frozenset[str], voices: Voices) -> Values:
        others = {name: voices[name].logits(slice(None)) for name in models_of(asked)}
        return values_of(self._logits(layout, mask), layout.target, asked, others)

    def _logits(self, layout: Layout, mask: Mask) -> Tensor:
        """The model's own logits (P, V), at the wanted columns of every row where it can leave out the others."""
        width = layout.ids.shape[1]
        columns = layout.source % width
        wanted, place = torch.unique(columns, return_inverse=True)
        logits = self.model(
            input_ids=layout.ids,
            position_ids=layout.positions,
            attention_mask=mask,
            use_cache=False,
            logits_to_keep=wanted,
        ).logits
        if logits.shape[1] == width:  # an architecture that projects every position
            place = columns
        picked: Tensor = logits[layout.source // width, place].float()
        return picked


def _of_steps(layout: Layout, hidden: Tensor) -> Values:
    """What is told of the steps of the layout's responses, by the policy's hidden states (P, D)."""
    found: Values = {}
    for cut, steps in layout.steps.items():
        found[step(cut, StepValue.PLACE)] = steps.place.float()
        found[step(cut, StepValue.LIKENESS)] = steps.likeness(hidden.detach()).float()
    return found


@dataclass(frozen=True)
class Other:
    """A frozen model that is asked at every step what it thinks of the responses, and how its rows are laid out."""

    scorer: Scorer
    structure: Structure


@contextmanager
def adapters_off(model: nn.Module) -> Iterator[None]:
    """The model that the adapters of `model` stand beside; afterwards they count again.

    The layers' own switch, not peft's: that one also says that nothing is trained, on every call.
    """
    from peft.tuners.tuners_utils import BaseTunerLayer

    layers = [module for module in model.modules() if isinstance(module, BaseTunerLayer)]
    for layer in layers:
        layer._disable_adapters = True
    try:
        yield
    finally:
        for layer in layers:
            layer._disable_adapters = False


def unadapted(model: PreTrainedModel) -> PreTrainedModel:
    """The language model itself; adapters stand inside its layers."""
    inner = getattr(model, "get_base_model", None)
    return model if inner is None else cast("PreTrainedModel", inner())


@torch.no_grad()
def _bend(model: PreTrainedModel) -> Bend | None:
    """What makes the model's logits of a linear projection of its last hidden states; None if that is not known.

    A factor is tried on a few tokens, because architectures name it differently; a cap goes by its name, as it does not
    show where logits are small.
    """
    bare = unadapted(model)
    head = bare.get_output_embeddings()  # type: ignore[no-untyped-call]
    config = bare.config.get_text_config()
    if type(head) is not nn.Linear:
        return None
    cap = getattr(config, "final_logit_softcapping", None) or None
    ids = torch.arange(PROBE, device=head.weight.device)[None] % len(head.weight)
    with dropout_off(bare):
        logits = bare(input_ids=ids, use_cache=False).logits
        own = head(bare.base_model(input_ids=ids, use_cache=False).last_hidden_state)
    for scale in (1.0, 1 / getattr(config, "logits_scaling", 1.0), getattr(config, "logit_scale", None) or 1.0):
        bend = Bend(float(scale), cap)  # in the model's own type, so that it is rounded alike
        if torch.allclose(bend.of(own.clone()), logits, rtol=1e-4, atol=1e-6):
            return bend
    return None
