"""The logistic loss on margins, as RSO names it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from alignment.objectives.objective import (
    PAIRED_WITH_REFERENCE,
    Fidelity,
    Needs,
    Objective,
    Paper,
    Range,
    Relative,
    State,
    log_sigmoid,
)
from alignment.objectives.pairs import MARGIN, WITH_REFERENCE

if TYPE_CHECKING:
    from torch import Tensor

    from alignment.objectives.batch import Batch


class RSOSigmoid(Objective):
    """Logistic loss of the margin against the reference: DPO's loss, for pairs from rejection sampling.

    Liu et al. 2023, arXiv 2309.06657, sigmoid-norm. At policy == reference the loss is log 2.
    """

    name: ClassVar[str] = "rso_sigmoid_norm"
    title: ClassVar[str] = "RSO (sigmoid)"
    family: ClassVar[str] = WITH_REFERENCE
    formula: ClassVar[str] = r"-\log\sigma(\gamma h),\quad " + MARGIN
    paper: ClassVar[Paper] = Paper(
        "Statistical Rejection Sampling Improves Preference Optimization",
        "Liu et al.",
        2023,
        "2309.06657",
        "",
    )
    fidelity: ClassVar[Fidelity] = "paper"
    needs: ClassVar[Needs] = PAIRED_WITH_REFERENCE
    fixes: ClassVar[str] = (
        "Pairs that no optimal policy would have drawn: made for those from statistical rejection sampling."
    )
    costs: ClassVar[str] = "On pairs of another origin it is DPO under another name."
    ranges: ClassVar[Mapping[str, Range]] = {"gamma": Range(0.05, 0.05, "in the paper's recipe")}
    relatives: ClassVar[tuple[Relative, ...]] = (
        Relative("dpo", "Equals DPO with beta = gamma.", at={"gamma": 0.1}, theirs={"beta": 0.1}),
        Relative("rso_hinge_norm", "The same with a hinge."),
    )
    logic: ClassVar[str] = r"\mathrm{Ref}(y_w)\land M(y_l)\;\Rightarrow\;\mathrm{Ref}(y_l)\land M(y_w)"

    gamma: float = Field(
        0.05, gt=0, le=100, title="Gamma", description="Strength of the pull towards the reference; DPO's beta."
    )

    def loss(self, batch: Batch, state: State) -> Tensor:  # noqa: ARG002
        """-log sigmoid(gamma h), (examples,)."""
        return -log_sigmoid(self.gamma * batch.pairs().margin)

    def rewards(self, batch: Batch) -> Tensor:
        """gamma * log(policy / reference), (S,)."""
        return self.gamma * batch.singles().ratios
