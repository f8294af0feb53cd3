"""Reverse KL between what the policy and what the label say of a pair."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from alignment.objectives.objective import Fidelity, Paper, Range, Relative, State, log_sigmoid
from alignment.objectives.pairs import MARGIN, WithReference, strength

if TYPE_CHECKING:
    from torch import Tensor

    from alignment.objectives.batch import Batch


class EXO(WithReference):
    """Reverse KL from the label's distribution over the two responses, (1-eps, eps), to the policy's.

    Ji et al. 2024, arXiv 2402.00856. At policy == reference the loss is -log 2 - (log(1-eps) + log eps)/2.
    0 is its minimum, at beta h = log((1-eps)/eps); its gradient vanishes for badly ranked pairs.
    """

    name: ClassVar[str] = "exo_pair"
    title: ClassVar[str] = "EXO"
    formula: ClassVar[str] = (
        r"\sigma(z)\log\frac{\sigma(z)}{1-\epsilon}+\sigma(-z)\log\frac{\sigma(-z)}{\epsilon},\quad z=\beta h,\quad "
        + MARGIN
    )
    paper: ClassVar[Paper] = Paper(
        "Towards Efficient Exact Optimization of Language Model Alignment", "Ji et al.", 2024, "2402.00856", ""
    )
    fidelity: ClassVar[Fidelity] = "paper"
    fixes: ClassVar[str] = (
        "DPO's direction of the KL, which spreads probability over all that might be good: this one seeks the mode, as "
        "reinforcement learning does."
    )
    costs: ClassVar[str] = "A pair that is ranked badly enough is hardly learned from: its gradient vanishes."
    ranges: ClassVar[Mapping[str, Range]] = {
        "beta": Range(0.1, 0.5),
        "eps": Range(1e-3, 1e-3, "suggested in the paper"),
    }
    relatives: ClassVar[tuple[Relative, ...]] = (
        Relative("cdpo", "cDPO is the forward KL between the same two distributions, up to a constant."),
    )
    logic: ClassVar[str] = r"\mathrm{Ref}(y_w)\land M(y_l)\;\Rightarrow\;\mathrm{Ref}(y_l)\land M(y_w)"

    beta: float = strength(0.1)
    eps: float = Field(
        1e-3, gt=0, lt=0.5, title="Epsilon", description="Probability that the label gives to the rejected response."
    )

    def loss(self, batch: Batch, state: State) -> Tensor:  # noqa: ARG002
        """KL of (sigmoid(beta h), sigmoid(-beta h)) to (1-eps, eps), (examples,)."""
        z = self.beta * batch.pairs().margin
        better = z.sigmoid() * (log_sigmoid(z) - math.log1p(-self.eps))
        return better + (-z).sigmoid() * (log_sigmoid(-z) - math.log(self.eps))
