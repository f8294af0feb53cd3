"""Conservative DPO: label smoothing against wrong labels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from alignment.objectives.objective import Fidelity, Paper, Range, Relative, State, log_sigmoid
from alignment.objectives.pairs import MARGIN, WithReference, strength

if TYPE_CHECKING:
    from torch import Tensor

    from alignment.objectives.batch import Batch


class CDPO(WithReference):
    """DPO for labels that are wrong with probability eps: the margin has a finite optimum, log((1-eps)/eps)/beta.

    Mitchell 2023, "A note on DPO with noisy preferences", equation 3; equals (1-eps) DPO + eps DPO with the
    sides swapped. At policy == reference the loss is log 2.
    """

    name: ClassVar[str] = "cdpo"
    title: ClassVar[str] = "cDPO"
    formula: ClassVar[str] = r"-(1-\epsilon)\log\sigma(\beta h)-\epsilon\log\sigma(-\beta h),\quad " + MARGIN
    paper: ClassVar[Paper] = Paper(
        "A note on DPO with noisy preferences and relationship to IPO",
        "Mitchell",
        2023,
        "",
        "3",
        url="https://ericmitchell.ai/cdpo.pdf",
    )
    fidelity: ClassVar[Fidelity] = "authors_code"
    fixes: ClassVar[str] = (
        "Labels that are wrong now and then: beyond the margin that fits the flip rate a pair pushes back, so no "
        "pair is pushed without end."
    )
    costs: ClassVar[str] = (
        "The flip rate has to be guessed and is the same for every pair; right labels are held back with wrong ones."
    )
    ranges: ClassVar[Mapping[str, Range]] = {
        "beta": Range(0.01, 0.5, "as for DPO"),
        "eps": Range(0.0, 0.3, "the note draws 0.1 to 0.3"),
    }
    relatives: ClassVar[tuple[Relative, ...]] = (Relative("dpo", "Equals DPO at epsilon = 0.", at={"eps": 0.0}),)
    logic: ClassVar[str] = r"\mathrm{Ref}(y_w)\land M(y_l)\;\Rightarrow\;\mathrm{Ref}(y_l)\land M(y_w)"

    beta: float = strength(0.1)
    eps: float = Field(
        0.1, ge=0, lt=0.5, title="Epsilon", description="Probability that a label is wrong; 0 gives DPO."
    )

    def loss(self, batch: Batch, state: State) -> Tensor:  # noqa: ARG002
        """-(1-eps) log sigmoid(beta h) - eps log sigmoid(-beta h), (examples,)."""
        z = self.beta * batch.pairs().margin
        return -(1 - self.eps) * log_sigmoid(z) - self.eps * log_sigmoid(-z)
