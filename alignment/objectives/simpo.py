"""Simple preference optimization: no reference, length-normalised rewards, a required margin."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from alignment.objectives.objective import (
    PAIRED,
    Fidelity,
    Needs,
    Objective,
    Paper,
    Range,
    Relative,
    State,
    log_sigmoid,
)

if TYPE_CHECKING:
    from torch import Tensor

    from alignment.objectives.batch import Batch


class SimPO(Objective):
    """Compares average log-probabilities per token, without a reference, and asks for a margin of gamma.

    Meng et al. 2024, arXiv 2405.14734, equation 6. gamma is the margin itself, not its ratio to beta; the
    learning rate decides more than either. Where both averages are equal the loss is -log sigmoid(-gamma).
    """

    name: ClassVar[str] = "simpo"
    title: ClassVar[str] = "SimPO"
    family: ClassVar[str] = "Pairs without a reference"
    formula: ClassVar[str] = (
        r"-\log\sigma\!\left(\frac{\beta}{|y_w|}\log\pi(y_w)-\frac{\beta}{|y_l|}\log\pi(y_l)-\gamma\right)"
    )
    paper: ClassVar[Paper] = Paper(
        "SimPO: Simple Preference Optimization with a Reference-Free Reward",
        "Meng et al.",
        2024,
        "2405.14734",
        "6",
    )
    fidelity: ClassVar[Fidelity] = "authors_code"
    needs: ClassVar[Needs] = PAIRED._replace(lengths=True)
    fixes: ClassVar[str] = (
        "The mismatch between what is trained and how text is generated: it compares average log-probabilities, so "
        "length earns nothing, and needs no reference model, which saves its memory and time."
    )
    costs: ClassVar[str] = (
        "Nothing holds the model near where it started: too high a learning rate or beta ruins it; two values and the "
        "learning rate have to be searched."
    )
    ranges: ClassVar[Mapping[str, Range]] = {
        "beta": Range(2.0, 10.0, "2 to 2.5, and 10 for instruction-tuned models"),
        "gamma": Range(0.3, 5.0, "gamma / beta between 0 and 1, 0.5 to start with"),
    }
    relatives: ClassVar[tuple[Relative, ...]] = (
        Relative(
            "dpo", "Without margin, and where both responses have n tokens, DPO with a constant reference and beta / n."
        ),
    )
    logic: ClassVar[str] = r"M(y_l)\;\Rightarrow\;M(y_w)"

    beta: float = Field(2.0, gt=0, le=100, title="Beta", description="Scale of the reward per token.")
    gamma: float = Field(
        0.5, ge=0, le=100, title="Gamma", description="Margin by which the chosen reward must exceed the rejected one."
    )

    def loss(self, batch: Batch, state: State) -> Tensor:  # noqa: ARG002
        """-log sigmoid(beta (average chosen - average rejected) - gamma), (examples,)."""
        pairs = batch.pairs()
        return -log_sigmoid(self.beta * (pairs.chosen.averages - pairs.rejected.averages) - self.gamma)

    def rewards(self, batch: Batch) -> Tensor:
        """beta * log policy per token, (S,)."""
        return self.beta * batch.singles().averages
