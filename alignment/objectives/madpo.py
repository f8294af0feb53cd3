"""DPO whose pairs are weighed by a reward model's margin."""

from __future__ import annotations

import math
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
from alignment.objectives.pairs import MARGIN

if TYPE_CHECKING:
    from torch import Tensor

    from alignment.objectives.batch import Batch


class MADPO(Objective):
    """DPO that learns more from pairs which a reward model finds hard, and less from those it finds easy or doubts.

    Rho 2025, arXiv 2510.05342.  The weight of a pair is fixed by the difference H of the scores in the labeled order:
    it amplifies for 0 < H < tau, damps beyond tau and for -tau < H < 0 (suspected flips), and is 1 for H = 0, H = tau
    and H <= -tau.  Where c_max or c_min is 1, so is every weight.  Where policy and reference agree, the loss is that
    weight times log 2.
    """

    name: ClassVar[str] = "madpo"
    title: ClassVar[str] = "MADPO"
    family: ClassVar[str] = "Pairs with scores"
    formula: ClassVar[str] = (
        r"-W\log\sigma(\beta h),\quad W=\frac{\sigma(c(H)H)}{\sigma(H)}\ \text{if } H>-\tau\text{, else }1,\quad "
        r"c(H)=c_{\min}+\frac{c_{\max}-c_{\min}}{1+\frac{c_{\max}-1}{1-c_{\min}}e^{\lambda(|H|-\tau)}},\quad "
        r"H=s_w-s_l,\quad " + MARGIN
    )
    paper: ClassVar[Paper] = Paper(
        "Margin Adaptive DPO: Leveraging Reward Model for Granular Control in Preference Optimization",
        "Rho",
        2025,
        "2510.05342",
        "",
    )
    fidelity: ClassVar[Fidelity] = "authors_code"
    needs: ClassVar[Needs] = PAIRED_WITH_REFERENCE._replace(facts=frozenset({"score"}))
    fixes: ClassVar[str] = (
        "One temperature fits all pairs badly: easy ones are overfitted and informative ones underused. Weights by a "
        "reward model's margin steer each pair by itself."
    )
    costs: ClassVar[str] = (
        "It is as good as the reward model that wrote the scores, and tau and lambda are on its scale."
    )
    ranges: ClassVar[Mapping[str, Range]] = {
        "c_max": Range(1.5, 4.0, "2 in the authors' notebook"),
        "tau": Range(2.0, 6.907, "ln 999 in the authors' notebook, 2 as their class's default"),
    }
    relatives: ClassVar[tuple[Relative, ...]] = (
        Relative("dpo", "With both factors at 1 it is DPO.", {"c_max": 1.0, "c_min": 1.0}),
    )

    beta: float = Field(
        0.1, gt=0, le=100, title="Beta", description="Strength of the pull towards the reference model."
    )
    c_max: float = Field(
        2.0, ge=1, le=100, title="Largest factor", description="What the smallest margins are multiplied by."
    )
    c_min: float = Field(
        0.5, gt=0, le=1, title="Smallest factor", description="What the largest margins are multiplied by."
    )
    lam: float = Field(
        1.0, gt=0, le=100, title="Lambda", description="How fast the factor falls from one to the other around tau."
    )
    tau: float = Field(
        6.907, gt=0, le=100, title="Tau", description="Score difference at which a pair counts as DPO counts it."
    )

    def loss(self, batch: Batch, state: State) -> Tensor:  # noqa: ARG002
        """-W log sigmoid(beta h), (examples,)."""
        pairs = batch.pairs()
        weight = self.weights(pairs.chosen.facts["score"] - pairs.rejected.facts["score"])
        return -weight * log_sigmoid(self.beta * pairs.margin)

    def weights(self, gap: Tensor) -> Tensor:
        """W of each score difference, in its shape."""
        if self.c_max == 1 or self.c_min == 1:  # 0/0 in the formula, or its limit
            return gap.new_ones(gap.shape)
        level = math.log(self.c_max - 1) - math.log(1 - self.c_min)
        factor = self.c_min + (self.c_max - self.c_min) * (-level - self.lam * (gap.abs() - self.tau)).sigmoid()
        weight = (log_sigmoid(factor * gap) - log_sigmoid(gap)).exp()
        return weight.where(gap > -self.tau, gap.new_ones(()))

    def rewards(self, batch: Batch) -> Tensor:
        """beta * log(policy / reference), (S,)."""
        return self.beta * batch.singles().ratios
