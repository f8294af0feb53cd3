"""Odds ratio preference optimization."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from alignment.objectives.bounded import log_odds
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
from alignment.objectives.pairs import WITHOUT_REFERENCE

if TYPE_CHECKING:
    from torch import Tensor

    from alignment.objectives.batch import Batch


class ORPO(Objective):
    """Fine-tuning on the chosen response, with a preference for its odds over those of the rejected one.

    Hong et al. 2024, arXiv 2403.07691, equations 6 and 7; odds are of the average probability per token, p = e^m, and
    the likelihood is of the response alone. Without a reference; where both averages are m the loss is
    lam log 2 - m. Odds are clamped at m = -1e-6 and go on as a line from there.
    """

    name: ClassVar[str] = "orpo"
    title: ClassVar[str] = "ORPO"
    family: ClassVar[str] = WITHOUT_REFERENCE
    formula: ClassVar[str] = (
        r"-m_w-\lambda\log\sigma\!\left(\log\frac{e^{m_w}}{1-e^{m_w}}-\log\frac{e^{m_l}}{1-e^{m_l}}\right),\quad "
        r"m=\frac{1}{|y|}\log\pi(y)"
    )
    paper: ClassVar[Paper] = Paper(
        "ORPO: Monolithic Preference Optimization without Reference Model", "Hong et al.", 2024, "2403.07691", "6"
    )
    fidelity: ClassVar[Fidelity] = "authors_code"
    needs: ClassVar[Needs] = PAIRED._replace(lengths=True)
    fixes: ClassVar[str] = "A stage of fine-tuning and a reference model: from a base model to an aligned one at once."
    costs: ClassVar[str] = "Needs many pairs, since it fine-tunes on them; the preference is a small part of the loss."
    ranges: ClassVar[Mapping[str, Range]] = {"lam": Range(0.1, 0.25, "0.1 for Mistral, up to 0.25 for smaller models")}
    relatives: ClassVar[tuple[Relative, ...]] = (
        Relative("asft", "ASFT asks each side's odds by itself, and is never smaller."),
        Relative("simpo", "SimPO compares the averages themselves, without fine-tuning."),
    )
    logic: ClassVar[str] = r"M(y_l)\Rightarrow M(y_w),\quad M(y_w)\oplus M(y_l)"

    lam: float = Field(0.1, ge=0, le=100, title="Lambda", description="Weight of the preference beside fine-tuning.")

    def loss(self, batch: Batch, state: State) -> Tensor:  # noqa: ARG002
        """-average chosen - lam log sigmoid(log-odds chosen - log-odds rejected), (examples,)."""
        pairs = batch.pairs()
        better, worse = pairs.chosen.averages, pairs.rejected.averages
        return -better - self.lam * log_sigmoid(log_odds(better) - log_odds(worse))

    def rewards(self, batch: Batch) -> Tensor:
        """Log-odds of the average probability per token, (S,)."""
        return log_odds(batch.singles().averages)
