"""Gradient difference: gradient ascent on what is to go, training on what is to stay."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from alignment.objectives.forgetting import FORGET_AND_RETAIN, Forgetting
from alignment.objectives.objective import Fidelity, Needs, Paper, Relative, State

if TYPE_CHECKING:
    from torch import Tensor

    from alignment.objectives.batch import Batch, Responses


class GradientDifference(Forgetting):
    """Lowers the log-probability per token of unwanted answers and raises that of answers to be retained.

    Liu et al. 2022, arXiv 2203.12817, as in the baselines of Zhang et al. 2024, arXiv 2404.05868. The loss is unbounded
    below, and there is no reference.
    """

    name: ClassVar[str] = "grad_diff"
    title: ClassVar[str] = "Gradient difference"
    formula: ClassVar[str] = (
        r"\lambda_f\,\frac{1}{|y_f|}\log\pi(y_f)\ \text{unwanted},\quad "
        r"-\lambda_r\,\frac{1}{|y_r|}\log\pi(y_r)\ \text{retained}"
    )
    paper: ClassVar[Paper] = Paper("Continual Learning and Private Unlearning", "Liu et al.", 2022, "2203.12817", "")
    fidelity: ClassVar[Fidelity] = "authors_code"
    needs: ClassVar[Needs] = Needs(FORGET_AND_RETAIN, lengths=True)
    fixes: ClassVar[str] = "Retained answers hold the model while others are forgotten."
    costs: ClassVar[str] = "The forgetting half has no end, so the balance of both decides when to stop."
    relatives: ClassVar[tuple[Relative, ...]] = (
        Relative("grad_ascent", "Without retained answers it is gradient ascent."),
        Relative("npo_grad_diff", "With NPO in the place of gradient ascent."),
    )

    def forgotten(self, responses: Responses) -> Tensor:
        """log policy per token, (N,)."""
        return responses.averages

    def loss(self, batch: Batch, state: State) -> Tensor:  # noqa: ARG002
        """forget_coef times log policy per token, or -retain_coef times it, (examples,)."""
        return self.both(batch)

    def rewards(self, batch: Batch) -> Tensor:
        """log policy per token, (S,)."""
        return batch.singles().averages
