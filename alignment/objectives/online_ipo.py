"""IPO whose target is the difference of two measured win rates."""

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

if TYPE_CHECKING:
    from torch import Tensor

    from alignment.objectives.batch import Batch


class OnlineIPO(Objective):
    """Squared distance of the margin to how much more often one response beats an opponent than the other does.

    Zhou et al. 2025, arXiv 2503.08942, the loss whose gradient step is a step of mirror descent in the regularized
    game; the opponent is the policy that the win probabilities were measured against.  Which of the two is called
    chosen does not matter.  Where policy and reference agree, the loss is the squared target.
    """

    name: ClassVar[str] = "online_ipo"
    title: ClassVar[str] = "Online IPO"
    family: ClassVar[str] = "Games"
    formula: ClassVar[str] = (
        r"\left(h-\frac{1}{\beta}\left[P(y_w\succ y'')-P(y_l\succ y'')\right]\right)^2,\quad "
        r"h=\log\frac{\pi(y_w)}{\pi_{\mathrm{ref}}(y_w)}-\log\frac{\pi(y_l)}{\pi_{\mathrm{ref}}(y_l)}"
    )
    paper: ClassVar[Paper] = Paper(
        "Extragradient Preference Optimization (EGPO): Beyond Last-Iterate Convergence for Nash Learning from Human "
        "Feedback",
        "Zhou et al.",
        2025,
        "2503.08942",
        "",
    )
    fidelity: ClassVar[Fidelity] = "authors_code"
    needs: ClassVar[Needs] = PAIRED_WITH_REFERENCE._replace(facts=frozenset({"win_probability"}))
    fixes: ClassVar[str] = "Learns from win rates that need no order of all responses, with a target that is reached."
    costs: ClassVar[str] = (
        "The win rates are those against one opponent: on fixed data it is a single step of the game, and the loop "
        "that measures them anew is not here."
    )
    ranges: ClassVar[Mapping[str, Range]] = {"beta": Range(0.1, 0.1, "in the authors' code")}
    relatives: ClassVar[tuple[Relative, ...]] = (
        Relative("ipo_avg", "Win rates that differ by a half give the target of IPO, there per token."),
        Relative("sppo_soft", "SPPO aims with each response by itself instead of with their difference."),
    )

    beta: float = Field(
        0.1,
        ge=1e-6,
        le=100,
        title="Beta",
        description="Strength of the pull towards the reference; the target is divided by it.",
    )

    def loss(self, batch: Batch, state: State) -> Tensor:  # noqa: ARG002
        """(h - (P(chosen wins) - P(rejected wins)) / beta)^2, (examples,)."""
        pairs = batch.pairs()
        gap = pairs.chosen.facts["win_probability"] - pairs.rejected.facts["win_probability"]
        return (pairs.margin - gap / self.beta) ** 2

    def rewards(self, batch: Batch) -> Tensor:
        """beta * log(policy / reference), (S,); a pair's margin aims at the difference of the win rates."""
        return self.beta * batch.singles().ratios
