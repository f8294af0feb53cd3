"""Self-play preference optimization with certain wins."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from alignment.objectives.objective import (
    PAIRED_WITH_REFERENCE,
    Fidelity,
    Needs,
    Objective,
    Paper,
    Range,
    Relative,
    State,
)
from alignment.objectives.pairs import RATIO

if TYPE_CHECKING:
    from torch import Tensor

    from alignment.objectives.batch import Batch


class SPPOHard(Objective):
    """Squared distance of each log-ratio to what a certain win, or a certain defeat, is worth: +- 1/(2 beta).

    Wu et al. 2024, arXiv 2405.00675, with win probabilities 1 and 0. The reference is the previous
    iterate. At policy == reference the loss is 1/(4 beta^2): large values are normal.
    """

    name: ClassVar[str] = "sppo_hard"
    title: ClassVar[str] = "SPPO (hard)"
    family: ClassVar[str] = "Games"
    formula: ClassVar[str] = (
        r"\frac{1}{2}\left(d(y_w)-\frac{1}{2\beta}\right)^2+\frac{1}{2}\left(d(y_l)+\frac{1}{2\beta}\right)^2,\quad "
        + RATIO
    )
    paper: ClassVar[Paper] = Paper(
        "Self-Play Preference Optimization for Language Model Alignment", "Wu et al.", 2024, "2405.00675", ""
    )
    fidelity: ClassVar[Fidelity] = "paper"
    needs: ClassVar[Needs] = PAIRED_WITH_REFERENCE
    fixes: ClassVar[str] = (
        "Preferences that no reward explains: repeated against its own previous version, the policy nears an "
        "equilibrium; chosen answers are raised, not only kept ahead."
    )
    costs: ClassVar[str] = "Made for rounds of sampling and judging; a label counts as certain; losses are huge."
    ranges: ClassVar[Mapping[str, Range]] = {"beta": Range(1e-3, 1e-3, "1/eta, with eta = 1000 in the paper")}
    relatives: ClassVar[tuple[Relative, ...]] = (
        Relative("ipo_sum", "IPO aims at a margin between the two, SPPO at a place for each."),
    )

    beta: float = Field(
        1e-3, ge=1e-6, le=100, title="Beta", description="Strength of the pull towards the previous iterate (1/eta)."
    )

    def loss(self, batch: Batch, state: State) -> Tensor:  # noqa: ARG002
        """((d_w - 1/(2 beta))^2 + (d_l + 1/(2 beta))^2) / 2 of the log-ratios, (examples,)."""
        pairs, target = batch.pairs(), 0.5 / self.beta
        return 0.5 * ((pairs.chosen.ratios - target) ** 2 + (pairs.rejected.ratios + target) ** 2)

    def rewards(self, batch: Batch) -> Tensor:
        """beta * log(policy / reference), (S,); it aims at 1/2 and -1/2."""
        return self.beta * batch.singles().ratios
