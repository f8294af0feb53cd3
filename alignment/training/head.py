"""What a linear head says of whole responses, on hidden states of their last tokens, as transformers' classifiers."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from alignment.training import routing
from alignment.training.errors import CheckpointRefused
from alignment.training.scorer import Scores, unadapted
from alignment.training.structure import Structure
from alignment.training.vocabulary import NOBODY, Voices

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from alignment.training.kinds.scored import RewardLoss
    from alignment.training.layout import Layout

HEAD = "score"
"""What transformers calls the head of its sequence classifiers on language models."""


class HeadScorer(nn.Module):
    """What a sequence classifier gives for each response; it stands where log-probabilities would.

    One label is a score, (S,); several are (S, labels). They are taken at the response's last token that is no padding,
    where the classifier itself looks, in float32 or the head's own type; the last `read.of_prompt` of them at the last
    token of the prompt.
    """

    def __init__(self, model: PreTrainedModel, precision: str, read: RewardLoss) -> None:
        super().__init__()
        self.model = model
        self.of_prompt = read.of_prompt
        self.shape: tuple[int, ...] = () if len(read.labels) == 1 else (len(read.labels),)
        self.own = None  # an objective's modules stand beside a language model
        self.anchor = None  # and so does an anchor
        self.exact = precision == "fp32"
        self.router_weight = routing.coefficient(model.config)
        self.experts = routing.experts(model.config)
        self.choices = int(getattr(model.config.get_text_config(), "num_experts_per_tok", None) or 1)
        head_of(model)

    def forward(
        self,
        layout: Layout,
        structure: Structure,
        asked: frozenset[str] = frozenset(),
        route: bool = False,
        voices: Voices = NOBODY,
    ) -> Scores:
        """What there is of the layout's responses, in its order.  Raises ValueError when tokens are asked about."""
        if asked or voices:
            raise ValueError("a reward model has no token values")
        whole = unadapted(self.model)
        route = route and self.router_weight > 0
        more = {"output_router_logits": True} if route else {}
        device = layout.ids.device.type  # on a CPU as in `Scorer`: threads share one cache
        narrow = torch.autocast(device, torch.bfloat16, cache_enabled=device != "cpu")
        with nullcontext() if self.exact else narrow:
            output = whole.base_model(
                input_ids=layout.ids,
                position_ids=layout.positions,
                attention_mask=structure.mask(layout.masks),
                use_cache=False,
                **more,
            )
        found = self._read(output.last_hidden_state.flatten(0, 1), layout)
        routed = routing.routed(output.router_logits, layout.weights, self.choices) if route else None
        return Scores(found, layout.lengths, layout.response, {}, routed)

    def _read(self, hidden: Tensor, layout: Layout) -> Tensor:
        """What the head says of flattened hidden states, (S, *shape)."""
        head, responses = head_of(self.model), len(layout.last)
        firsts = layout.lengths.long().cumsum(0) - layout.lengths.long()  # of each response's tokens
        places = torch.cat([layout.last, layout.source[firsts]]) if self.of_prompt else layout.last
        with torch.autocast(hidden.device.type, enabled=False):
            said: Tensor = head(hidden[places].to(next(head.parameters()).dtype)).float()
        if self.of_prompt:
            said = torch.cat([said[:responses, : -self.of_prompt], said[responses:, -self.of_prompt :]], dim=1)
        return said.reshape(responses, *self.shape)


def head_of(model: PreTrainedModel) -> nn.Module:
    """The head of a sequence classifier.  Raises CheckpointRefused for an architecture that names it otherwise."""
    head = getattr(unadapted(model), HEAD, None)
    if not isinstance(head, nn.Module):
        raise CheckpointRefused(
            f"{type(unadapted(model)).__name__} has no linear head on its last hidden state.",
            "Choose a checkpoint of another architecture.",
            "checkpoint",
        )
    return head
