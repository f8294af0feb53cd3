"""Reward models: scores whose differences are log-odds of being preferred."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from alignment.objectives.objective import PAIRED, Fidelity, Needs, Paper, log_sigmoid
from alignment.training.kinds.scored import Scored

if TYPE_CHECKING:
    from torch import Tensor

    from alignment.objectives.batch import Batch


class BradleyTerry(Scored):
    """Fits scores so that sigmoid(chosen - rejected) is the probability of the preference.

    Ouyang et al. 2022, arXiv 2203.02155, equation 1; the centering is that of Eisenstein et al. 2023, arXiv 2312.09244.
    Where both scores are 0 the loss is log 2.
    """

    name: ClassVar[str] = "bradley_terry"
    title: ClassVar[str] = "Bradley-Terry"
    formula: ClassVar[str] = r"-\log\sigma\!\left(r(x,y_w)-r(x,y_l)\right)+c\,\left(r(x,y_w)+r(x,y_l)\right)^2"
    paper: ClassVar[Paper] = Paper(
        "Training language models to follow instructions with human feedback", "Ouyang et al.", 2022, "2203.02155", "1"
    )
    fidelity: ClassVar[Fidelity] = "paper"
    needs: ClassVar[Needs] = PAIRED
    fixes: ClassVar[str] = "Gives every response a score that can be compared with that of any other."
    costs: ClassVar[str] = "Preferences that go in a circle have no such scores: of three it ranks two right at most."

    center: float = Field(
        0.0, ge=0, le=10, description="Weight of the pull that keeps the scores of each pair around zero."
    )

    def member(self, batch: Batch) -> Tensor:
        """-log sigmoid(chosen - rejected - margin) + center * (chosen + rejected)^2, (examples,)."""
        pairs = batch.pairs()
        better, worse = pairs.chosen.logps, pairs.rejected.logps
        losses = -log_sigmoid(better - worse - self.margin(batch))
        return losses + self.center * (better + worse).square() if self.center else losses

    def margin(self, batch: Batch) -> Tensor | float:  # noqa: ARG002
        """By how much the chosen score must be the higher one: not at all."""
        return 0.0
