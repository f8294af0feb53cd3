"""Identity preference optimization on summed log-probabilities."""

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
from alignment.objectives.pairs import MARGIN, WITH_REFERENCE

if TYPE_CHECKING:
    from torch import Tensor

    from alignment.objectives.batch import Batch


class IPOSum(Objective):
    """Squared distance of the margin to the finite target 1/(2 tau), on sums over tokens as the equation is written.

    Azar et al. 2023, arXiv 2310.12036, equation 17. At policy == reference the loss is 1/(4 tau^2).
    """

    name: ClassVar[str] = "ipo_sum"
    title: ClassVar[str] = "IPO (sums)"
    family: ClassVar[str] = WITH_REFERENCE
    formula: ClassVar[str] = r"\left(h-\frac{1}{2\tau}\right)^2,\quad " + MARGIN
    paper: ClassVar[Paper] = Paper(
        "A General Theoretical Paradigm to Understand Learning from Human Preferences",
        "Azar et al.",
        2023,
        "2310.12036",
        "17",
    )
    fidelity: ClassVar[Fidelity] = "authors_code"
    needs: ClassVar[Needs] = PAIRED_WITH_REFERENCE
    fixes: ClassVar[str] = "Overfitting where labels are nearly deterministic: every pair has a margin that is enough."
    costs: ClassVar[str] = (
        "Margins of sums grow with the length of responses, so that one tau does not fit short and long ones; the "
        "pull of an outlier has no bound."
    )
    ranges: ClassVar[Mapping[str, Range]] = {"tau": Range(0.1, 1.0, "in the paper's study of bandits")}
    relatives: ClassVar[tuple[Relative, ...]] = (
        Relative("ipo_avg", "The same on averages per token, as the authors trained language models."),
        Relative("dpo", "The same preferences with a logistic loss, which asks for an ever larger margin."),
    )
    logic: ClassVar[str] = r"\mathrm{Ref}(y_w)\land M(y_l)\;\Rightarrow\;\mathrm{Ref}(y_l)\land M(y_w)"

    tau: float = Field(
        0.1,
        ge=1e-6,
        le=100,
        title="Tau",
        description="Strength of the pull towards the reference; the margin aims at 1/(2 tau).",
    )

    def loss(self, batch: Batch, state: State) -> Tensor:  # noqa: ARG002
        """(h - 1/(2 tau))^2, (examples,)."""
        return (batch.pairs().margin - 1 / (2 * self.tau)) ** 2

    def rewards(self, batch: Batch) -> Tensor:
        """tau * log(policy / reference), (S,); a pair's margin aims at 1/2."""
        return self.tau * batch.singles().ratios
