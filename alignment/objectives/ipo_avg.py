"""Identity preference optimization on per-token averages."""

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


class IPO(Objective):
    """Squared distance of the per-token margin to the finite target 1/(2 tau): stops pushing once it is reached.

    Azar et al. 2023, arXiv 2310.12036, equation 17, with each response's log-ratio divided by its number of
    tokens, as the authors say their experiments did. tau is therefore on a per-token scale. At policy ==
    reference the loss is 1/(4 tau^2).
    """

    name: ClassVar[str] = "ipo_avg"
    title: ClassVar[str] = "IPO"
    family: ClassVar[str] = "Pairs with a reference"
    formula: ClassVar[str] = (
        r"\left(\frac{1}{|y_w|}\log\frac{\pi(y_w)}{\pi_{\mathrm{ref}}(y_w)}"
        r"-\frac{1}{|y_l|}\log\frac{\pi(y_l)}{\pi_{\mathrm{ref}}(y_l)}-\frac{1}{2\tau}\right)^2"
    )
    paper: ClassVar[Paper] = Paper(
        "A General Theoretical Paradigm to Understand Learning from Human Preferences",
        "Azar et al.",
        2023,
        "2310.12036",
        "17",
    )
    fidelity: ClassVar[Fidelity] = "authors_code"
    needs: ClassVar[Needs] = PAIRED_WITH_REFERENCE._replace(lengths=True)
    fixes: ClassVar[str] = (
        "Overfitting where labels are nearly deterministic: a pair that has reached its target is left alone, and one "
        "beyond it is pulled back."
    )
    costs: ClassVar[str] = (
        "Every pair gets the same target, however clear it is; the pull of a badly ranked pair grows without bound, "
        "so outliers weigh much; tau is on a scale of its own."
    )
    ranges: ClassVar[Mapping[str, Range]] = {
        "tau": Range(0.01, 1.0, "0.1 in current trainers; on sums, as in the paper's toy study, 0.1 to 1")
    }
    relatives: ClassVar[tuple[Relative, ...]] = (
        Relative("dpo", "The same preferences with a logistic loss, which asks for an ever larger margin."),
    )
    logic: ClassVar[str] = r"\mathrm{Ref}(y_w)\land M(y_l)\;\Rightarrow\;\mathrm{Ref}(y_l)\land M(y_w)"

    tau: float = Field(
        0.1,
        ge=1e-6,
        le=100,
        title="Tau",
        description="Strength of the pull towards the reference; the margin per token aims at 1/(2 tau).",
    )

    def loss(self, batch: Batch, state: State) -> Tensor:  # noqa: ARG002
        """(per-token margin - 1/(2 tau))^2, (examples,)."""
        pairs = batch.pairs()
        margin = pairs.chosen.average_ratios - pairs.rejected.average_ratios
        return (margin - 1 / (2 * self.tau)) ** 2

    def rewards(self, batch: Batch) -> Tensor:
        """tau * log(policy / reference) per token, (S,); a pair's margin aims at 1/2."""
        return self.tau * batch.singles().average_ratios
