"""Distillation of a teacher on both sides of a pair."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from alignment.objectives.batch import OtherValue, beside
from alignment.objectives.objective import PAIR, Fidelity, Needs, Objective, Paper, Relative, State

if TYPE_CHECKING:
    from torch import Tensor

    from alignment.objectives.batch import Batch

TEACHER = "teacher"


class DCKD(Objective):
    """Learns a teacher's distribution at every token of both responses, beside the chosen text itself.

    Gao et al. 2025, arXiv 2502.17927. Means are over each response here, and over the tokens of a batch in a fork of
    the authors' trainer. The divergence is KL(teacher || policy). At policy == teacher and without the text's own term
    the loss is 0.
    """

    name: ClassVar[str] = "dckd"
    title: ClassVar[str] = "DCKD"
    family: ClassVar[str] = "From a teacher"
    formula: ClassVar[str] = (
        r"c_w\,\overline{\mathrm{KL}}(y_w)+c_l\,\overline{\mathrm{KL}}(y_l)-\frac{s}{|y_w|}\log\pi(y_w),\quad"
        r"\overline{\mathrm{KL}}(y)=\frac{1}{|y|}\sum_t\mathrm{KL}\!\left(\pi_{\mathrm{teacher}}(\cdot\mid y_{<t})"
        r"\,\|\,\pi(\cdot\mid y_{<t})\right)"
    )
    paper: ClassVar[Paper] = Paper(
        "Advantage-Guided Distillation for Preference Alignment in Small Language Models",
        "Gao et al.",
        2025,
        "2502.17927",
        "",
    )
    fidelity: ClassVar[Fidelity] = "paper"
    needs: ClassVar[Needs] = Needs(PAIR, third=frozenset({TEACHER}), of_third=frozenset({OtherValue.KL}))
    fixes: ClassVar[str] = (
        "Small models hardly learn preferences from pairs alone; an aligned teacher says more per token."
    )
    costs: ClassVar[str] = "A teacher with the same vocabulary is asked at every step, and its faults are learned, too."
    relatives: ClassVar[tuple[Relative, ...]] = (
        Relative("adpa", "ADPA learns what a teacher gained by its own alignment, not its distribution."),
    )

    sft: float = Field(1.0, ge=0, le=100, title="Text", description="Weight of the chosen text's own likelihood.")
    c_w: float = Field(
        0.1, ge=0, le=100, title="Teacher, chosen", description="Weight of the teacher on chosen responses."
    )
    c_l: float = Field(
        0.1, ge=0, le=100, title="Teacher, rejected", description="Weight of the teacher on rejected responses."
    )

    def loss(self, batch: Batch, state: State) -> Tensor:  # noqa: ARG002
        """The weighted divergences per token and the chosen text's negative log-likelihood per token, (examples,)."""
        drift = batch.each_token().sums(beside(TEACHER, OtherValue.KL), len(batch.logps))
        chosen, rejected = batch.sides(drift / batch.lengths)
        return self.c_w * chosen + self.c_l * rejected - self.sft * batch.pairs().chosen.averages

    def rewards(self, batch: Batch) -> Tensor:
        """Log-probability per token, (S,): the loss compares no responses."""
        return batch.singles().averages
