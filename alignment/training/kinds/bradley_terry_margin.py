"""Reward models of pairs that say how much better the chosen response is."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from alignment.objectives.objective import PAIR, Fidelity, Needs, Paper
from alignment.training.kinds.bradley_terry import BradleyTerry

if TYPE_CHECKING:
    from torch import Tensor

    from alignment.objectives.batch import Batch


class BradleyTerryMargin(BradleyTerry):
    """Asks the chosen score to be higher by at least what the pair's fact `margin` says.

    Touvron et al. 2023, arXiv 2307.09288, equation 2.  Where every margin is 0 it is Bradley-Terry.
    """

    name: ClassVar[str] = "bradley_terry_margin"
    title: ClassVar[str] = "Bradley-Terry with margins"
    formula: ClassVar[str] = r"-\log\sigma\!\left(r(x,y_w)-r(x,y_l)-m\right)+c\,\left(r(x,y_w)+r(x,y_l)\right)^2"
    paper: ClassVar[Paper] = Paper(
        "Llama 2: Open Foundation and Fine-Tuned Chat Models", "Touvron et al.", 2023, "2307.09288", "2"
    )
    fidelity: ClassVar[Fidelity] = "paper"
    fixes: ClassVar[str] = "Sets responses further apart of which one is much better."
    costs: ClassVar[str] = "Margins must be on the scale of log-odds, or scores grow to meet them."
    needs: ClassVar[Needs] = Needs(PAIR, facts=frozenset({"margin"}))

    def margin(self, batch: Batch) -> Tensor | float:
        """The fact of each pair, (examples,)."""
        return batch.pairs().chosen.facts["margin"]
