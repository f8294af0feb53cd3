"""Anchored preference optimization: both down, the rejected response more."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from alignment.objectives.objective import Fidelity, Paper, Range, Relative, State
from alignment.objectives.pairs import MARGIN, RATIO, WithReference, strength

if TYPE_CHECKING:
    from torch import Tensor

    from alignment.objectives.batch import Batch


class APODown(WithReference):
    """Lowers the chosen response, and the rejected one more: for data that are worse than the model's own answers.

    D'Oosterlinck et al. 2024, arXiv 2408.06266. At policy == reference the loss is 1, and the chosen
    response is not pushed at all; the loss lies in [0, 2].
    """

    name: ClassVar[str] = "apo_down"
    title: ClassVar[str] = "APO-down"
    formula: ClassVar[str] = r"\sigma(\beta d(y_w))+\sigma(-\beta h),\quad " + RATIO + r",\quad " + MARGIN
    paper: ClassVar[Paper] = Paper(
        "Anchored Preference Optimization and Contrastive Revisions: Addressing Underspecification in Alignment",
        "D'Oosterlinck et al.",
        2024,
        "2408.06266",
        "",
    )
    fidelity: ClassVar[Fidelity] = "paper"
    fixes: ClassVar[str] = "Chosen answers that a stronger model should not imitate: it learns the difference alone."
    costs: ClassVar[str] = "The chosen answer may fall or rise, by which of its reward and the margin is nearer to 0."
    ranges: ClassVar[Mapping[str, Range]] = {"beta": Range(0.1, 0.1, "in the paper's experiments")}
    relatives: ClassVar[tuple[Relative, ...]] = (
        Relative("apo_zero", "For chosen answers that are better than the model's own."),
    )

    beta: float = strength(0.1)

    def loss(self, batch: Batch, state: State) -> Tensor:  # noqa: ARG002
        """sigmoid(chosen reward) + sigmoid(-beta h), (examples,)."""
        pairs = batch.pairs()
        return (self.beta * pairs.chosen.ratios).sigmoid() + (-self.beta * pairs.margin).sigmoid()
