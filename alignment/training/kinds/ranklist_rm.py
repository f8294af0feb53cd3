"""Reward models of rankings: neighbors, and those some places apart."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from alignment.objectives.listed import LIST, SkipWeights, apart
from alignment.objectives.objective import Fidelity, Needs, Paper, Relative
from alignment.objectives.ranklist import RankList
from alignment.training.kinds.scored import Scored

if TYPE_CHECKING:
    from torch import Tensor

    from alignment.objectives.batch import Batch


class RankListRM(Scored):
    """Fits scores so that they fall along each ranking: the Bradley-Terry loss of those so many places apart.

    A reconstruction after Naini et al. 2025, arXiv 2508.09826, as the objective `ranklist`, with the model's scores in
    the place of implicit rewards. Two responses of one rank contribute nothing; where all scores are equal, the mean
    of each distance is log 2.
    """

    name: ClassVar[str] = "ranklist_rm"
    title: ClassVar[str] = "RankList scores"
    formula: ClassVar[str] = (
        r"-\sum_d \lambda_d\,\frac{1}{K-d}\sum_i\log\sigma\!\left(r(x,y_{(i)})-r(x,y_{(i+d)})\right)"
    )
    paper: ClassVar[Paper] = RankList.paper
    fidelity: ClassVar[Fidelity] = "reconstruction"
    needs: ClassVar[Needs] = Needs(LIST, facts=frozenset({"rank"}))
    fixes: ClassVar[str] = "Learns from whole rankings, ties left out, without making pairs of them."
    costs: ClassVar[str] = "With neighbors alone, responses far apart are compared through all those between them."
    relatives: ClassVar[tuple[Relative, ...]] = (
        Relative("bradley_terry", "A ranking of two responses gives Bradley-Terry."),
        Relative("ranklist", "The same of implicit rewards."),
    )

    skip_weights: SkipWeights = [1.0]

    def member(self, batch: Batch) -> Tensor:
        """Weighted means of -log sigmoid(r_(i) - r_(i+d)) over the distances d, (examples,)."""
        lists = batch.lists()
        return apart(lists, lists.logps, self.skip_weights)
