"""Listwise preference optimization with lambda weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from alignment.objectives.listed import SCORED, Listed
from alignment.objectives.objective import Fidelity, Needs, Paper, Range, Relative, State, log_sigmoid

if TYPE_CHECKING:
    from torch import Tensor

    from alignment.objectives.batch import Batch

HIGHEST = 30.0


class LiPO(Listed):
    """Each pair of a list weighs what swapping its two responses would change of the list's DCG.

    Liu et al. 2024, arXiv 2402.01878, equation 8: the weight is |2^psi_i - 2^psi_j| |1/log(1+r_i) - 1/log(1+r_j)|,
    r the places by the policy's present scores, without gradient. Equal scores stand in the order of the data, so
    that the weights are not zero where policy equals reference; the loss is then log 2 times the sum of them. Pairs
    of equal labels contribute nothing.
    """

    name: ClassVar[str] = "lipo_lambda"
    title: ClassVar[str] = "LiPO-λ"
    formula: ClassVar[str] = (
        r"-\sum_{\psi_i>\psi_j}\left|2^{\psi_i}-2^{\psi_j}\right|"
        r"\left|\tfrac{1}{\ln(1+r_i)}-\tfrac{1}{\ln(1+r_j)}\right|\log\sigma(s_i-s_j),\quad "
        r"s_i=\beta\log\frac{\pi(y_i)}{\pi_{\mathrm{ref}}(y_i)}"
    )
    paper: ClassVar[Paper] = Paper(
        "LiPO: Listwise Preference Optimization through Learning-to-Rank", "Liu et al.", 2024, "2402.01878", "8"
    )
    fidelity: ClassVar[Fidelity] = "paper"
    needs: ClassVar[Needs] = SCORED
    fixes: ClassVar[str] = "Puts its effort where the list is wrong at the top, and uses how good responses are."
    costs: ClassVar[str] = "Gains are powers of two: scores far above 1 make one pair outweigh all others."
    ranges: ClassVar[Mapping[str, Range]] = {"beta": Range(0.05, 0.5, "0.05 with lists of 8 responses")}
    relatives: ClassVar[tuple[Relative, ...]] = (
        Relative("dpo", "A list of two with labels 1 and 0 gives 0.532 times DPO."),
        Relative("pairwise_logistic_all", "Equal weights give the loss of all pairs."),
    )

    def objection(self, facts: Mapping[str, tuple[float, ...]]) -> str | None:
        """Refuses scores whose gains would be numbers without meaning."""
        highest = max(map(abs, facts["score"]))
        if highest <= HIGHEST:
            return None
        return f"has a score of {highest:g}, whose gain 2^score is useless: scale them, best to 0..1"

    def loss(self, batch: Batch, state: State) -> Tensor:  # noqa: ARG002
        """-sum of weight times log sigmoid(s_i - s_j) over psi_i > psi_j, (examples,)."""
        lists = batch.lists()
        scores, labels = self.beta * lists.ratios, lists.facts["score"]
        places = _places(scores.detach().masked_fill(~lists.mask, float("-inf")))
        discounts, gains = 1 / (1 + places).log(), labels.exp2()
        weights = (gains[:, :, None] - gains[:, None, :]).abs() * (discounts[:, :, None] - discounts[:, None, :]).abs()
        terms = -weights * log_sigmoid(scores[:, :, None] - scores[:, None, :])
        return terms.masked_fill(~lists.above(labels), 0.0).sum(dim=(1, 2))


def _places(scores: Tensor) -> Tensor:
    """The place of each by its score, 1 the highest, (examples, K)."""
    order = scores.argsort(dim=1, descending=True, stable=True)
    return order.argsort(dim=1).to(scores.dtype) + 1
