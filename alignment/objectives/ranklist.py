"""RankList: neighbors of a ranking, and those some places apart."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from alignment.objectives.listed import RANKED, Listed, SkipWeights, apart
from alignment.objectives.objective import Fidelity, Needs, Paper, Relative, State

if TYPE_CHECKING:
    from torch import Tensor

    from alignment.objectives.batch import Batch


class RankList(Listed):
    """DPO's loss between responses that stand so many places apart, each distance with a weight of its own.

    A reconstruction after Naini et al. 2025, arXiv 2508.09826: the mean over the neighbors of a ranking, plus, with
    further weights, the mean over those two, three … places apart. Where policy equals reference each mean is log 2.
    Two responses of one rank contribute nothing; a distance that no list has adds nothing.
    """

    name: ClassVar[str] = "ranklist"
    title: ClassVar[str] = "RankList"
    formula: ClassVar[str] = (
        r"-\sum_d \lambda_d\,\frac{1}{K-d}\sum_i\log\sigma\big(s_{(i)}-s_{(i+d)}\big),\quad "
        r"s_i=\beta\log\frac{\pi(y_i)}{\pi_{\mathrm{ref}}(y_i)}"
    )
    paper: ClassVar[Paper] = Paper(
        "RankList -- A Listwise Preference Learning Framework for Predicting Subjective Preferences",
        "Naini et al.",
        2025,
        "2508.09826",
        "",
    )
    fidelity: ClassVar[Fidelity] = "reconstruction"
    needs: ClassVar[Needs] = RANKED
    fixes: ClassVar[str] = "Learns the local order of a list first, and the global one by as much as is asked for."
    costs: ClassVar[str] = "With neighbors alone, responses far apart are compared through all those between them."
    relatives: ClassVar[tuple[Relative, ...]] = (Relative("dpo", "A ranking of two responses gives DPO."),)

    skip_weights: SkipWeights = [1.0]

    def loss(self, batch: Batch, state: State) -> Tensor:  # noqa: ARG002
        """Weighted means of -log sigmoid(s_(i) - s_(i+d)) over the distances d, (examples,)."""
        lists = batch.lists()
        return apart(lists, self.beta * lists.ratios, self.skip_weights)
