"""Summed log-probabilities of responses: backbone, projection and sums in one forward, wrapped as a whole."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, NamedTuple, cast

import torch
from torch import Tensor, nn

from alignment.training.model import dropout_off
from alignment.training.structure import Structure
from alignment.training.vocabulary import token_logps

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from alignment.training.layout import Layout

PROBE = 4  # tokens on which the projection of our own is compared with the model's


class Scores(NamedTuple):
    """What a pass over some sequences gives: per response (S,), float32."""

    logps: Tensor
    lengths: Tensor


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

    def forward(self, layout: Layout, structure: Structure) -> Scores:
        """Scores of the layout's responses, in its order."""
        context = torch.autocast(layout.ids.device.type, torch.bfloat16) if not self.exact else nullcontext()
        mask = structure.mask(layout.masks)
        with context:
            found = self._linear(layout, mask) if self._scale is not None else self._by_logits(layout, mask)
        sums = found.new_zeros(len(layout.lengths)).index_add(0, layout.response, found)
        return Scores(sums, layout.lengths)

    def _linear(self, layout: Layout, mask: Tensor | dict[str, Tensor] | None) -> Tensor:
        bare = _bare(self.model)
        hidden = _hidden(bare, layout.ids, layout.positions, mask).flatten(0, 1)[layout.source]
        head = cast("nn.Linear", bare.get_output_embeddings())  # type: ignore[no-untyped-call]
        return token_logps(hidden, head.weight, head.bias, layout.target, cast("float", self._scale))

    def _by_logits(self, layout: Layout, mask: Tensor | dict[str, Tensor] | None) -> Tensor:
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
        found: Tensor = picked.gather(1, layout.target[:, None]).squeeze(1) - picked.logsumexp(dim=1)
        return found


def _bare(model: PreTrainedModel) -> PreTrainedModel:
    """The language model itself; adapters stand inside its layers."""
    inner = getattr(model, "get_base_model", None)
    return model if inner is None else cast("PreTrainedModel", inner())


def _hidden(
    bare: PreTrainedModel, ids: Tensor, positions: Tensor | None, mask: Tensor | dict[str, Tensor] | None
) -> Tensor:
    found: Tensor = bare.base_model(
        input_ids=ids, position_ids=positions, attention_mask=mask, use_cache=False
    ).last_hidden_state
    return found


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
        own = head(_hidden(bare, ids, None, None)).float()
    for scale in (1.0, 1 / getattr(config, "logits_scaling", 1.0), getattr(config, "logit_scale", None) or 1.0):
        if torch.allclose(own * scale, logits, rtol=1e-4, atol=1e-6):
            return float(scale)
    return None
