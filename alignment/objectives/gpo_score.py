"""General preference optimization on preference scores."""

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


class GPOScore(Objective):
    """Regresses each log-ratio to the response's mean preference score against samples of the last iterate.

    Zhang et al. 2024, arXiv 2410.02197, equations 5.2 and 5.3, without the partition term.  A score is the logit of a
    general preference model, which need not be transitive.  Where policy and reference agree, the loss is half the
    squared target of each side.
    """

    name: ClassVar[str] = "gpo_score"
    title: ClassVar[str] = "GPO"
    family: ClassVar[str] = "Games"
    formula: ClassVar[str] = (
        r"\tfrac12\sum_{y\in\{y_w,y_l\}}\left(\log\frac{\pi(y)}{\pi_{\mathrm{ref}}(y)}"
        r"-\frac{1}{\beta}s(y\succ\pi_{\mathrm{ref}})\right)^2"
    )
    paper: ClassVar[Paper] = Paper(
        "General Preference Modeling with Preference Representations for Aligning Language Models",
        "Zhang et al.",
        2024,
        "2410.02197",
        "5.3",
    )
    fidelity: ClassVar[Fidelity] = "paper"
    needs: ClassVar[Needs] = PAIRED_WITH_REFERENCE._replace(facts=frozenset({"preference_score"}))
    fixes: ClassVar[str] = (
        "Keeps how strongly a response is preferred, where win rates saturate near 0 and 1, and works with preferences "
        "that run in circles."
    )
    costs: ClassVar[str] = "Needs a preference model's scores against the model's own samples, for every iterate anew."
    ranges: ClassVar[Mapping[str, Range]] = {"beta": Range(0.001, 0.001, "as SPPO")}
    relatives: ClassVar[tuple[Relative, ...]] = (
        Relative("sppo_soft", "SPPO has the win rate above a half in the place of the score."),
    )

    beta: float = Field(
        0.001,
        ge=1e-6,
        le=100,
        title="Beta",
        description="Strength of the pull towards the reference; targets are divided by it.",
    )

    def loss(self, batch: Batch, state: State) -> Tensor:  # noqa: ARG002
        """Half the squared distances of both log-ratios from score / beta, (examples,)."""
        pairs = batch.pairs()
        chosen, rejected = (
            side.ratios - side.facts["preference_score"] / self.beta for side in (pairs.chosen, pairs.rejected)
        )
        return 0.5 * (chosen**2 + rejected**2)

    def rewards(self, batch: Batch) -> Tensor:
        """beta * log(policy / reference), (S,): aims at the preference score."""
        return self.beta * batch.singles().ratios
