"""Self-play preference optimization on measured win rates."""

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


class SPPOSoft(Objective):
    """Regresses each log-ratio to how far the response's win rate against the last iterate is from a half.

    Wu et al. 2024, arXiv 2405.00675, the loss SPPO.  The reference is the previous iterate, from which the responses
    were drawn; win probabilities are measured against its other samples.  beta is 1/eta, so targets are hundreds of
    nats and losses of 1e5 are normal: gradients are clipped.  Where policy and reference agree, the loss is half the
    squared target of each side.
    """

    name: ClassVar[str] = "sppo_soft"
    title: ClassVar[str] = "SPPO"
    family: ClassVar[str] = "Games"
    formula: ClassVar[str] = (
        r"\tfrac12\sum_{y\in\{y_w,y_l\}}\left(\log\frac{\pi(y)}{\pi_{\mathrm{ref}}(y)}"
        r"-\frac{1}{\beta}\left(P(y\succ\pi_{\mathrm{ref}})-\tfrac12\right)\right)^2"
    )
    paper: ClassVar[Paper] = Paper(
        "Self-Play Preference Optimization for Language Model Alignment", "Wu et al.", 2024, "2405.00675", ""
    )
    fidelity: ClassVar[Fidelity] = "authors_code"
    needs: ClassVar[Needs] = PAIRED_WITH_REFERENCE._replace(facts=frozenset({"win_probability"}))
    fixes: ClassVar[str] = (
        "Preferences need no score behind them and may be cyclic: it plays towards the Nash equilibrium, and raises "
        "the chosen response by itself instead of the difference alone."
    )
    costs: ClassVar[str] = (
        "Win rates against several samples have to be measured anew for every iterate; fixed pairs are one iteration."
    )
    ranges: ClassVar[Mapping[str, Range]] = {"beta": Range(0.001, 0.001, "eta is 1000")}
    relatives: ClassVar[tuple[Relative, ...]] = (
        Relative("gpo_score", "GPO has a preference score in the place of the win rate above a half."),
    )

    beta: float = Field(
        0.001,
        ge=1e-6,
        le=100,
        title="Beta",
        description="Strength of the pull towards the reference, 1/eta in the paper; targets are divided by it.",
    )

    def loss(self, batch: Batch, state: State) -> Tensor:  # noqa: ARG002
        """Half the squared distances of both log-ratios from (P - 1/2) / beta, (examples,)."""
        pairs = batch.pairs()
        chosen, rejected = (
            side.ratios - (side.facts["win_probability"] - 0.5) / self.beta for side in (pairs.chosen, pairs.rejected)
        )
        return 0.5 * (chosen**2 + rejected**2)

    def rewards(self, batch: Batch) -> Tensor:
        """beta * log(policy / reference), (S,): aims at the win probability less a half."""
        return self.beta * batch.singles().ratios
