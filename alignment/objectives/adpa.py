"""Distillation of what a teacher gained by its own alignment."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from alignment.objectives.batch import OtherValue
from alignment.objectives.objective import PAIR, Fidelity, Needs, Objective, Paper, Relative, State

if TYPE_CHECKING:
    from torch import Tensor

    from alignment.objectives.batch import Batch

TEACHER, BEFORE = "teacher", "teacher_reference"


class ADPA(Objective):
    """Raises tokens that an aligned teacher prefers to the teacher before its alignment, beside the chosen text itself.

    Gao et al. 2025, arXiv 2502.17927. Means are over each response here, and over the tokens of a batch in a fork of
    the authors' trainer. The advantage of a token is log(teacher / teacher before); the rejected response is meant to
    be one that the student's own starting checkpoint has sampled. The loss is never below -gamma times the largest
    advantage, to which it falls where the policy puts all on that token.
    """

    name: ClassVar[str] = "adpa"
    title: ClassVar[str] = "ADPA"
    family: ClassVar[str] = "From a teacher"
    formula: ClassVar[str] = (
        r"-\frac{\gamma}{|y_l|}\sum_t\sum_v\pi(v\mid y^l_{<t})\,A(v\mid y^l_{<t})-\frac{s}{|y_w|}\log\pi(y_w),\quad "
        r"A=\log\frac{\pi_{\mathrm{teacher}}}{\pi_{\mathrm{teacher,ref}}}"
    )
    paper: ClassVar[Paper] = Paper(
        "Advantage-Guided Distillation for Preference Alignment in Small Language Models",
        "Gao et al.",
        2025,
        "2502.17927",
        "",
    )
    fidelity: ClassVar[Fidelity] = "paper"
    needs: ClassVar[Needs] = Needs(PAIR, third=frozenset({TEACHER, BEFORE}), of_third=frozenset({OtherValue.EXPECTED}))
    fixes: ClassVar[str] = (
        "A preference over whole responses says little per token; a teacher's advantage says it for all."
    )
    costs: ClassVar[str] = (
        "Two teachers with the same vocabulary are asked at every step; pairs must hold the student's own samples as "
        "their rejected side."
    )
    relatives: ClassVar[tuple[Relative, ...]] = (
        Relative("dckd", "DCKD learns the teacher's distribution itself; the paper runs it first."),
    )

    sft: float = Field(1.0, ge=0, le=100, title="Text", description="Weight of the chosen text's own likelihood.")
    gamma: float = Field(1.0, ge=0, le=100, title="Gamma", description="Weight of the teacher's advantage.")

    def loss(self, batch: Batch, state: State) -> Tensor:  # noqa: ARG002
        """-gamma * the expected advantage per rejected token, and the chosen text's own loss per token, (examples,)."""
        tokens = batch.each_token()
        advantage = tokens.other(TEACHER, OtherValue.EXPECTED) - tokens.other(BEFORE, OtherValue.EXPECTED)
        _, rejected = batch.sides(tokens.added(advantage, len(batch.logps)) / batch.lengths)
        return -self.gamma * rejected - self.sft * batch.pairs().chosen.averages

    def rewards(self, batch: Batch) -> Tensor:
        """Log-probability per token, (S,): the loss compares no responses."""
        return batch.singles().averages
