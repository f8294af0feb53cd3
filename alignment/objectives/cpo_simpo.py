"""SimPO with the likelihood of the chosen response."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from alignment.objectives.objective import (
    PAIRED,
    Fidelity,
    Needs,
    Objective,
    Paper,
    Range,
    Relative,
    State,
    log_sigmoid,
)
from alignment.objectives.pairs import WITHOUT_REFERENCE

if TYPE_CHECKING:
    from torch import Tensor

    from alignment.objectives.batch import Batch


class CPOSimPO(Objective):
    """SimPO held in place by the chosen response's log-likelihood per token.

    Xu et al. 2024, arXiv 2401.08417, as its released code combines it with SimPO (2405.14734, equation 6). Without a
    reference; where both averages are equal the loss is -log sigmoid(-gamma) - alpha log policy(y_w) per token.
    """

    name: ClassVar[str] = "cpo_simpo"
    title: ClassVar[str] = "CPO-SimPO"
    family: ClassVar[str] = WITHOUT_REFERENCE
    formula: ClassVar[str] = (
        r"-\log\sigma\!\left(\frac{\beta}{|y_w|}\log\pi(y_w)-\frac{\beta}{|y_l|}\log\pi(y_l)-\gamma\right)"
        r"-\frac{\alpha}{|y_w|}\log\pi(y_w)"
    )
    paper: ClassVar[Paper] = Paper(
        "Contrastive Preference Optimization: Pushing the Boundaries of LLM Performance in Machine Translation",
        "Xu et al.",
        2024,
        "2401.08417",
        "",
    )
    fidelity: ClassVar[Fidelity] = "authors_code"
    needs: ClassVar[Needs] = PAIRED._replace(lengths=True)
    fixes: ClassVar[str] = "SimPO's runs that go astray: a little likelihood of the chosen answer holds them."
    costs: ClassVar[str] = "Four values to search, the learning rate with them."
    ranges: ClassVar[Mapping[str, Range]] = {
        "beta": Range(10.0, 10.0, "as released"),
        "gamma": Range(5.4, 5.4, "as released"),
        "alpha": Range(0.05, 0.05, "as released"),
    }
    relatives: ClassVar[tuple[Relative, ...]] = (
        Relative("simpo", "Equals SimPO at alpha = 0.", at={"alpha": 0.0}),
        Relative("cpo", "The same on sums, without a margin."),
    )

    beta: float = Field(10.0, gt=0, le=100, title="Beta", description="Scale of the reward per token.")
    gamma: float = Field(
        5.4, ge=0, le=100, title="Gamma", description="Margin by which the chosen reward must exceed the rejected one."
    )
    alpha: float = Field(0.05, ge=0, le=100, title="Alpha", description="Weight of the chosen response's likelihood.")

    def loss(self, batch: Batch, state: State) -> Tensor:  # noqa: ARG002
        """-log sigmoid(beta (average chosen - average rejected) - gamma) - alpha average chosen, (examples,)."""
        pairs = batch.pairs()
        z = self.beta * (pairs.chosen.averages - pairs.rejected.averages) - self.gamma
        return -log_sigmoid(z) - self.alpha * pairs.chosen.averages

    def rewards(self, batch: Batch) -> Tensor:
        """beta * log policy per token, (S,)."""
        return self.beta * batch.singles().averages
