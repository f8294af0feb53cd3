"""Supervised fine-tuning as distribution matching, by the divergence of one's choice."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from alignment.objectives.batch import Role
from alignment.objectives.objective import Fidelity, Needs, Objective, Paper, State

if TYPE_CHECKING:
    from torch import Tensor

    from alignment.objectives.batch import Batch

Divergence = Literal["tv", "pearson_chi2", "squared_hellinger", "reverse_kl", "jensen_shannon"]
LOWEST: dict[Divergence, float] = {"squared_hellinger": -0.9, "reverse_kl": -20.0, "jensen_shannon": -0.6}
"""Rewards at which a divergence with a pole, or an exponential, goes on as a straight line."""


class FSFT(Objective):
    """Raises demonstrations by their implicit reward r, with a slope that fades as the divergence has it.

    A reconstruction after Wang et al. 2025, arXiv 2507.00018. Total variation is plain fine-tuning times beta, less a
    constant; the others have the same slope where policy equals reference, where all losses are 0, and then saturate
    (Pearson turns back at r = 2). Clamps: below r = -0.9 (Hellinger), -20 (reverse KL) and -0.6 (Jensen-Shannon) the
    loss is continued by its tangent.
    """

    name: ClassVar[str] = "f_sft"
    title: ClassVar[str] = "f-SFT"
    family: ClassVar[str] = "Single answers"
    formula: ClassVar[str] = (
        r"-\varphi(r),\ r=\beta\log\frac{\pi(y)}{\pi_{\mathrm{ref}}(y)},\quad \varphi(r)=r\ \text{(tv)},\ "
        r"r-\tfrac{r^2}{4}\ (\chi^2),\ \tfrac{r}{1+r}\ \text{(Hellinger)},\ 1-e^{-r}\ \text{(KL)},\ "
        r"\log(2-e^{-r})\ \text{(JS)}"
    )
    paper: ClassVar[Paper] = Paper(
        "Implicit Reward as the Bridge: A Unified View of SFT and DPO Connections",
        "Wang et al.",
        2025,
        "2507.00018",
        "",
    )
    fidelity: ClassVar[Fidelity] = "reconstruction"
    needs: ClassVar[Needs] = Needs(frozenset({Role.DESIRABLE}), reference="sequence")
    fixes: ClassVar[str] = "Keeps fine-tuning near the reference: a demonstration that is learned is pushed no further."
    costs: ClassVar[str] = "The formulas are a reconstruction; a smaller learning rate often does as well."

    beta: float = Field(0.1, gt=0, le=100, title="Beta", description="Scale of the implicit reward.")
    divergence: Divergence = Field(
        "pearson_chi2", title="Divergence", description="Divergence whose dual shapes the reward."
    )

    def loss(self, batch: Batch, state: State) -> Tensor:  # noqa: ARG002
        """-phi(beta D) of each demonstration, (examples,)."""
        shown = batch.of(Role.DESIRABLE)
        rewards = self.beta * shown.ratios
        lowest = LOWEST.get(self.divergence)
        if lowest is None:
            return batch.added(-self._phi(rewards), shown)
        beyond = (rewards - lowest).clamp(max=0) * self._slope(lowest)
        return batch.added(-(self._phi(rewards.clamp(min=lowest)) + beyond), shown)

    def rewards(self, batch: Batch) -> Tensor:
        """beta * log(policy / reference), (S,)."""
        return self.beta * batch.singles().ratios

    def _phi(self, rewards: Tensor) -> Tensor:
        match self.divergence:
            case "tv":
                return rewards
            case "pearson_chi2":
                return rewards - rewards**2 / 4
            case "squared_hellinger":
                return rewards / (1 + rewards)
            case "reverse_kl":
                return -(-rewards).expm1()
            case "jensen_shannon":
                return (-(-rewards).expm1()).log1p()

    def _slope(self, reward: float) -> float:
        """The derivative of phi at a clamp."""
        match self.divergence:
            case "squared_hellinger":
                return (1 + reward) ** -2
            case "reverse_kl":
                return math.exp(-reward)
            case _:
                return 1 / (2 * math.exp(reward) - 1)
