"""A weight for each example, whatever the loss."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from alignment.objectives.composite import joined
from alignment.objectives.dpo import DPO
from alignment.objectives.modifier import ExampleBase, Modifier
from alignment.objectives.objective import Fidelity, Needs, Paper, Relative, State

if TYPE_CHECKING:
    from torch import Tensor

    from alignment.objectives.batch import Batch


class Weighted(Modifier):
    """Multiplies the base's loss of each example by the weight that the data give it; they need not average to 1.

    Importance weighting (Shimodaira 2000), for any base with a loss of each example.  Where policy and reference agree,
    it is the weight times what the base is there.
    """

    name: ClassVar[str] = "weighted"
    title: ClassVar[str] = "Example weights"
    family: ClassVar[str] = "Made of parts"
    formula: ClassVar[str] = r"w_i\,\mathcal{L}_i"
    paper: ClassVar[Paper] = Paper(
        "Improving predictive inference under covariate shift by weighting the log-likelihood function",
        "Shimodaira",
        2000,
        "",
        "",
        url="https://doi.org/10.1016/S0378-3758(00)00115-4",
    )
    fidelity: ClassVar[Fidelity] = "paper"
    needs: ClassVar[Needs] = joined(Needs(frozenset(), facts=frozenset({"weight"})))
    fixes: ClassVar[str] = "Examples that should count for more than others, or that stand for many."
    costs: ClassVar[str] = "Large weights make the gradient noisy: a few examples then decide a step."
    relatives: ClassVar[tuple[Relative, ...]] = (Relative("dpo", "With every weight 1 it is its base."),)

    base: ExampleBase = Field(DPO(), title="Base", description="The objective whose losses are weighed.")

    def loss(self, batch: Batch, state: State) -> Tensor:
        """weight * loss, (examples,)."""
        loss = super().loss(batch, state)
        weight = batch.facts["weight"]
        known = ~weight.isnan()  # responses that were formed beside those of the data have none
        return loss * weight.new_zeros(len(loss)).index_copy(0, batch.example[known], weight[known])
