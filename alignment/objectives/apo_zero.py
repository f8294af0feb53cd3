"""Anchored preference optimization: chosen up, rejected down."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from alignment.objectives.objective import Fidelity, Paper, Range, Relative, State
from alignment.objectives.pairs import RATIO, WithReference, strength

if TYPE_CHECKING:
    from torch import Tensor

    from alignment.objectives.batch import Batch


class APOZero(WithReference):
    """Raises the chosen response above the reference and lowers the rejected one below it, each by itself.

    D'Oosterlinck et al. 2024, arXiv 2408.06266. At policy == reference the loss is 1; it lies in [0, 2].
    """

    name: ClassVar[str] = "apo_zero"
    title: ClassVar[str] = "APO-zero"
    formula: ClassVar[str] = r"\sigma(-\beta d(y_w))+\sigma(\beta d(y_l)),\quad " + RATIO
    paper: ClassVar[Paper] = Paper(
        "Anchored Preference Optimization and Contrastive Revisions: Addressing Underspecification in Alignment",
        "D'Oosterlinck et al.",
        2024,
        "2408.06266",
        "",
    )
    fidelity: ClassVar[Fidelity] = "paper"
    fixes: ClassVar[str] = "Margins that grow while both sides fall: for chosen answers better than the model's own."
    costs: ClassVar[str] = "Pairs far from the reference hardly move; wrong where the model is better than its data."
    ranges: ClassVar[Mapping[str, Range]] = {"beta": Range(0.1, 0.1, "in the paper's experiments")}
    relatives: ClassVar[tuple[Relative, ...]] = (
        Relative("apo_down", "For chosen answers that are worse than the model's own."),
        Relative("bco_pair", "The same two sides, with logistic losses."),
    )

    beta: float = strength(0.1)

    def loss(self, batch: Batch, state: State) -> Tensor:  # noqa: ARG002
        """sigmoid(-chosen reward) + sigmoid(rejected reward), (examples,)."""
        pairs = batch.pairs()
        return (-self.beta * pairs.chosen.ratios).sigmoid() + (self.beta * pairs.rejected.ratios).sigmoid()
