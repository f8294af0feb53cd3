"""DPO under another divergence than the reverse KL: a reward that is a function of the log-ratio."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from alignment.objectives.objective import Fidelity, Paper, State, log_sigmoid
from alignment.objectives.pairs import WithReference

if TYPE_CHECKING:
    from torch import Tensor

    from alignment.objectives.batch import Batch


class DivergenceDPO(WithReference):
    """DPO with the reward beta g(log(policy / reference)) of some divergence; a constant is added so that g(0) = 0."""

    paper: ClassVar[Paper] = Paper(
        "Beyond Reverse KL: Generalizing Direct Preference Optimization with Diverse Divergence Constraints",
        "Wang et al.",
        2023,
        "2309.16240",
        "",
    )
    fidelity: ClassVar[Fidelity] = "authors_code"

    def of_ratio(self, ratio: Tensor) -> Tensor:
        """g: what a log-ratio earns, any shape; rising, 0 at 0."""
        raise NotImplementedError

    def loss(self, batch: Batch, state: State) -> Tensor:  # noqa: ARG002
        """-log sigmoid(beta (g(chosen log-ratio) - g(rejected log-ratio))), (examples,)."""
        pairs = batch.pairs()
        return -log_sigmoid(self.beta * (self.of_ratio(pairs.chosen.ratios) - self.of_ratio(pairs.rejected.ratios)))

    def rewards(self, batch: Batch) -> Tensor:
        """beta g(log(policy / reference)), (S,)."""
        return self.beta * self.of_ratio(batch.singles().ratios)
