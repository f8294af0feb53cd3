"""Summed log-probabilities of responses: backbone, projection and sums in one forward, wrapped as a whole."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, NamedTuple, cast

import torch
from torch import Tensor, nn

from alignment.objectives.batch import TokenValue
from alignment.training import routing
from alignment.training.model import dropout_off
from alignment.training.structure import Structure
from alignment.training.vocabulary import Values, token_values, values_of

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from alignment.training.layout import Layout

PROBE = 4  # tokens on which the projection of our own is compared with the model's


LOGPS = frozenset({TokenValue.LOGPS})
Mask = Tensor | dict[str, Tensor] | None


class Scores(NamedTuple):
    """What a pass over some sequences gives: per response (S,), float32; per token (T,) what was asked for.

    Tokens lie in the order of the responses.
    """

    logps: Tensor
    lengths: Tensor
    response: Tensor  # (T,): which response each token belongs to
    tokens: Values
    routed: Tensor | None = None  # (2, E): what `routing.routed` says of a mixture of experts

    def sums(self, name: TokenValue) -> Tensor:
        """A token value added up over each response, (S,)."""
        values = self.tokens[name]
        return values.new_zeros(len(self.lengths)).index_add(0, self.response, values)


class Scorer(nn.Module):
    """Log-probabilities of responses under a model, summed over their tokens.

    Only positions where a response token is predicted are projected to the vocabulary; log-softmax and sums are in
    float32.  Models whose logits are no linear map of the last hidden states are asked for the logits themselves.
    """

    def __init__(self, model: PreTrainedModel, precision: str) -> None:
        super().__init__()
        self.model = model
        self.exact = precision == "fp32"
        self._scale = _scale(model)
        self.router_weight = routing.coefficient(model.config) if self._scale is not None else 0.0
        self.experts = routing.experts(model.config)
        self.choices = int(getattr(model.config.get_text_config(), "num_experts_per_tok", None) or 1)

    def forward(
        self,
        layout: Layout,
        structure: Structure,
        asked: frozenset[TokenValue] = frozenset(),
        route: bool = False,
    ) -> Scores:
        """Scores of the layout's responses, in its order, with the token values and the routing asked for."""
        context = torch.autocast(layout.ids.device.type, torch.bfloat16) if not self.exact else nullcontext()
        mask = structure.mask(layout.masks)
        with context:
            if self._scale is None:
                found, routed = self._by_logits(layout, mask, asked | LOGPS), None
            else:
                found, routed = self._linear(layout, mask, asked | LOGPS, route and self.router_weight > 0)
        logps = found[TokenValue.LOGPS]
        sums = logps.new_zeros(len(layout.lengths)).index_add(0, layout.response, logps)
        told = {name: value for name, value in found.items() if name in asked}
        return Scores(sums, layout.lengths, layout.response, told, routed)

    def _linear(
        self, layout: Layout, mask: Mask, asked: frozenset[TokenValue], route: bool
    ) -> tuple[Values, Tensor | None]:
        bare = _bare(self.model)
        more = {"output_router_logits": True} if route else {}
        output = bare.base_model(
            input_ids=layout.ids, position_ids=layout.positions, attention_mask=mask, use_cache=False, **more
        )
        hidden = output.last_hidden_state.flatten(0, 1)[layout.source]
        head = cast("nn.Linear", bare.get_output_embeddings())  # type: ignore[no-untyped-call]
        found = token_values(hidden, head.weight, head.bias, layout.target, asked, cast("float", self._scale))
        return found, routing.routed(output.router_logits, layout.weights, self.choices) if route else None

    def _by_logits(self, layout: Layout, mask: Mask, asked: frozenset[TokenValue]) -> Values:
        """The model's own logits, at the wanted columns of every row where it can leave out the others."""
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
        picked = logits[layout.source // width, place].float()
        return values_of(picked, layout.target, asked)


def _bare(model: PreTrainedModel) -> PreTrainedModel:
    """The language model itself; adapters stand inside its layers."""
    inner = getattr(model, "get_base_model", None)
    return model if inner is None else cast("PreTrainedModel", inner())


@torch.no_grad()
def _scale(model: PreTrainedModel) -> float | None:
    """The factor between a linear projection of the last hidden states and the model's logits; None if there is none.

    Tried on a few tokens, because architectures name it differently; what bends logits is refused by its name, as a
    bend does not show where logits are small.
    """
    bare = _bare(model)
    head = bare.get_output_embeddings()  # type: ignore[no-untyped-call]
    config = bare.config.get_text_config()
    if type(head) is not nn.Linear or getattr(config, "final_logit_softcapping", None):
        return None
    ids = torch.arange(PROBE, device=head.weight.device)[None] % len(head.weight)
    with dropout_off(bare):
        logits = bare(input_ids=ids, use_cache=False).logits.float()
        own = head(bare.base_model(input_ids=ids, use_cache=False).last_hidden_state).float()
    for scale in (1.0, 1 / getattr(config, "logits_scaling", 1.0), getattr(config, "logit_scale", None) or 1.0):
        if torch.allclose(own * scale, logits, rtol=1e-4, atol=1e-6):
            return float(scale)
    return None
