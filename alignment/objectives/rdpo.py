"""DPO against wrong labels, unbiased."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from alignment.objectives.objective import Fidelity, Paper, Range, Relative, State, log_sigmoid
from alignment.objectives.pairs import MARGIN, WithReference, strength

if TYPE_CHECKING:
    from torch import Tensor

    from alignment.objectives.batch import Batch


class RobustDPO(WithReference):
    """DPO whose mean over randomly wrong labels is the DPO loss of the right ones.

    Chowdhury et al. 2024, arXiv 2403.00409: ((1-eps) DPO - eps DPO with the sides swapped) / (1-2 eps).
    At policy == reference the loss is log 2. Unbounded below: about -eps beta h / (1-2 eps) for a large margin,
    and its push never vanishes.
    """

    name: ClassVar[str] = "rdpo"
    title: ClassVar[str] = "rDPO"
    formula: ClassVar[str] = (
        r"\frac{-(1-\epsilon)\log\sigma(\beta h)+\epsilon\log\sigma(-\beta h)}{1-2\epsilon},\quad " + MARGIN
    )
    paper: ClassVar[Paper] = Paper(
        "Provably Robust DPO: Aligning Language Models with Noisy Feedback",
        "Chowdhury et al.",
        2024,
        "2403.00409",
        "",
    )
    fidelity: ClassVar[Fidelity] = "paper"
    fixes: ClassVar[str] = (
        "Labels that are wrong at a known rate: averaged over the flips, it is the DPO loss of the labels as they "
        "should have been."
    )
    costs: ClassVar[str] = (
        "The flip rate must be known; the loss has no lower bound, and a pair is pushed however large its margin "
        "already is; near a rate of a half everything is noise, amplified."
    )
    ranges: ClassVar[Mapping[str, Range]] = {
        "beta": Range(0.01, 0.1, "0.01 in the paper's experiments"),
        "eps": Range(0.1, 0.1, "in the paper's experiments"),
    }
    relatives: ClassVar[tuple[Relative, ...]] = (
        Relative("dpo", "Equals DPO at epsilon = 0.", at={"eps": 0.0}),
        Relative("cdpo", "cDPO adds the swapped pair where rDPO subtracts it: its margin has an optimum."),
    )
    logic: ClassVar[str] = r"\mathrm{Ref}(y_w)\land M(y_l)\;\Rightarrow\;\mathrm{Ref}(y_l)\land M(y_w)"

    beta: float = strength(0.1)
    eps: float = Field(0.1, ge=0, lt=0.5, title="Epsilon", description="Probability that a label is wrong; 0 is DPO.")

    def loss(self, batch: Batch, state: State) -> Tensor:  # noqa: ARG002
        """(-(1-eps) log sigmoid(beta h) + eps log sigmoid(-beta h)) / (1-2 eps), (examples,)."""
        z = self.beta * batch.pairs().margin
        return (-(1 - self.eps) * log_sigmoid(z) + self.eps * log_sigmoid(-z)) / (1 - 2 * self.eps)
