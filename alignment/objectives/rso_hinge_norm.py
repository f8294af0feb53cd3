"""The hinge loss on margins against a reference."""

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
)
from alignment.objectives.pairs import MARGIN, WITH_REFERENCE

if TYPE_CHECKING:
    from torch import Tensor

    from alignment.objectives.batch import Batch


class RSOHinge(Objective):
    """Hinge loss of the margin against the reference: a pair is left alone once gamma h reaches 1.

    Liu et al. 2023, arXiv 2309.06657, hinge-norm. At policy == reference the loss is 1.
    """

    name: ClassVar[str] = "rso_hinge_norm"
    title: ClassVar[str] = "RSO (hinge)"
    family: ClassVar[str] = WITH_REFERENCE
    formula: ClassVar[str] = r"\max(0,1-\gamma h),\quad " + MARGIN
    paper: ClassVar[Paper] = Paper(
        "Statistical Rejection Sampling Improves Preference Optimization",
        "Liu et al.",
        2023,
        "2309.06657",
        "",
    )
    fidelity: ClassVar[Fidelity] = "paper"
    needs: ClassVar[Needs] = PAIRED_WITH_REFERENCE
    fixes: ClassVar[str] = "Pairs that are pushed on though they are ranked well enough."
    costs: ClassVar[str] = "A pair within the margin teaches nothing more; made for pairs from rejection sampling."
    ranges: ClassVar[Mapping[str, Range]] = {"gamma": Range(0.05, 0.05, "in the paper's recipe")}
    relatives: ClassVar[tuple[Relative, ...]] = (
        Relative("slic_hf", "SLiC-HF without its regularizer, on log-ratios."),
        Relative("dpo", "DPO is the same with a logistic loss."),
    )
    logic: ClassVar[str] = r"\mathrm{Ref}(y_w)\land M(y_l)\;\Rightarrow\;\mathrm{Ref}(y_l)\land M(y_w)"

    gamma: float = Field(
        0.05, gt=0, le=100, title="Gamma", description="Strength of the pull towards the reference; DPO's beta."
    )

    def loss(self, batch: Batch, state: State) -> Tensor:  # noqa: ARG002
        """max(0, 1 - gamma h), (examples,)."""
        return (1 - self.gamma * batch.pairs().margin).relu()

    def rewards(self, batch: Batch) -> Tensor:
        """gamma * log(policy / reference), (S,)."""
        return self.gamma * batch.singles().ratios
