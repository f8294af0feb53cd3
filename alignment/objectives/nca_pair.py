"""Noise contrastive alignment on pairs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from alignment.objectives.objective import Fidelity, Paper, Range, Relative, State, log_sigmoid
from alignment.objectives.pairs import RATIO, WithReference, strength

if TYPE_CHECKING:
    from torch import Tensor

    from alignment.objectives.batch import Batch


class NCA(WithReference):
    """Classifies chosen responses against noise: each side's reward is compared with 0, not with the other's.

    Chen et al. 2024, arXiv 2402.05369. At policy == reference the loss is 2 log 2. The chosen response has
    a target, beta d = log 2, beyond which it is pulled back; the rejected one is always pushed down.
    """

    name: ClassVar[str] = "nca_pair"
    title: ClassVar[str] = "NCA"
    formula: ClassVar[str] = (
        r"-\log\sigma(\beta d(y_w))-\tfrac{1}{2}\log\sigma(-\beta d(y_w))-\tfrac{1}{2}\log\sigma(-\beta d(y_l)),\quad "
        + RATIO
    )
    paper: ClassVar[Paper] = Paper(
        "Noise Contrastive Alignment of Language Models with Explicit Rewards",
        "Chen et al.",
        2024,
        "2402.05369",
        "",
    )
    fidelity: ClassVar[Fidelity] = "authors_code"
    fixes: ClassVar[str] = "Chosen responses that become less likely: their likelihood itself is what is trained."
    costs: ClassVar[str] = "The chosen response stops at a fixed gain, however clear its pair is."
    ranges: ClassVar[Mapping[str, Range]] = {"beta": Range(0.01, 0.01, "in the paper's experiments")}
    relatives: ClassVar[tuple[Relative, ...]] = (
        Relative("dpo", "DPO is InfoNCA on pairs: the same family, on the difference alone."),
        Relative("bco_pair", "BCO weighs both sides alike, without the pull back."),
    )

    beta: float = strength(0.01)

    def loss(self, batch: Batch, state: State) -> Tensor:  # noqa: ARG002
        """-log sigmoid(a) - log sigmoid(-a) / 2 - log sigmoid(-b) / 2 of the rewards a and b, (examples,)."""
        pairs = batch.pairs()
        better, worse = self.beta * pairs.chosen.ratios, self.beta * pairs.rejected.ratios
        return -log_sigmoid(better) - 0.5 * (log_sigmoid(-better) + log_sigmoid(-worse))
