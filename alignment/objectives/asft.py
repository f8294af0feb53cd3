"""Aligned supervised fine-tuning."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from alignment.objectives.bounded import log_complement, log_odds
from alignment.objectives.objective import PAIRED, Fidelity, Needs, Objective, Paper, Range, Relative, State
from alignment.objectives.pairs import WITHOUT_REFERENCE

if TYPE_CHECKING:
    from torch import Tensor

    from alignment.objectives.batch import Batch


class ASFT(Objective):
    """Fine-tuning on the chosen response that raises its odds and lowers those of the rejected one, each by itself.

    Wang et al. 2024, arXiv 2409.10571. Without a reference; with averages m per token the loss is
    -(1 + lam) m_w - lam log(1 - e^{m_l}), clamped at m_l = -1e-6, from where it goes on as a line.
    """

    name: ClassVar[str] = "asft"
    title: ClassVar[str] = "ASFT"
    family: ClassVar[str] = WITHOUT_REFERENCE
    formula: ClassVar[str] = r"-(1+\lambda)m_w-\lambda\log\left(1-e^{m_l}\right),\quad m=\frac{1}{|y|}\log\pi(y)"
    paper: ClassVar[Paper] = Paper(
        "ASFT: Aligned Supervised Fine-Tuning through Absolute Likelihood", "Wang et al.", 2024, "2409.10571", ""
    )
    fidelity: ClassVar[Fidelity] = "paper"
    needs: ClassVar[Needs] = PAIRED._replace(lengths=True)
    fixes: ClassVar[str] = "Two stages and a reference model; no side's push depends on how the other one stands."
    costs: ClassVar[str] = "Does not compare: a rejected answer is pushed down however far behind it is already."
    ranges: ClassVar[Mapping[str, Range]] = {"lam": Range(0.1, 1.0)}
    relatives: ClassVar[tuple[Relative, ...]] = (
        Relative("orpo", "ORPO compares the odds of both sides, and is never larger."),
    )
    logic: ClassVar[str] = r"M(y_w)\land\neg M(y_l)"

    lam: float = Field(0.1, ge=0, le=100, title="Lambda", description="Weight of the odds beside fine-tuning.")

    def loss(self, batch: Batch, state: State) -> Tensor:  # noqa: ARG002
        """-(1 + lam) average chosen - lam log(1 - e^{average rejected}), (examples,)."""
        pairs = batch.pairs()
        return -(1 + self.lam) * pairs.chosen.averages - self.lam * log_complement(pairs.rejected.averages)

    def rewards(self, batch: Batch) -> Tensor:
        """Log-odds of the average probability per token, (S,)."""
        return log_odds(batch.singles().averages)
