"""Negative preference optimization: forgetting without collapse."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from alignment.objectives.batch import Role
from alignment.objectives.objective import Fidelity, Needs, Objective, Paper, Relative, State, log_sigmoid

if TYPE_CHECKING:
    from torch import Tensor

    from alignment.objectives.batch import Batch, Responses


class NPO(Objective):
    """Lowers unwanted answers, the less the further they are below the reference.

    Zhang et al. 2024, arXiv 2404.05868, equation 3. Where policy equals reference the loss is (2 / beta) log 2 and its
    gradient in the log-probability is 1, that of gradient ascent, which it tends to everywhere as beta tends to 0.
    """

    name: ClassVar[str] = "npo"
    title: ClassVar[str] = "NPO"
    family: ClassVar[str] = "Forgetting"
    formula: ClassVar[str] = r"-\frac{2}{\beta}\log\sigma\!\left(-\beta\log\frac{\pi(y)}{\pi_{\mathrm{ref}}(y)}\right)"
    paper: ClassVar[Paper] = Paper(
        "Negative Preference Optimization: From Catastrophic Collapse to Effective Unlearning",
        "Zhang et al.",
        2024,
        "2404.05868",
        "3",
    )
    fidelity: ClassVar[Fidelity] = "authors_code"
    needs: ClassVar[Needs] = Needs(frozenset({Role.UNDESIRABLE}), reference="sequence")
    fixes: ClassVar[str] = "Forgets answers and stops by itself, where gradient ascent goes on until the model breaks."
    costs: ClassVar[str] = "Nothing holds what is to stay: without retained answers the rest suffers, too."
    relatives: ClassVar[tuple[Relative, ...]] = (
        Relative("dpo", "It is the rejected half of DPO, times 2/beta."),
        Relative("grad_ascent", "As beta tends to 0 its gradient is that of gradient ascent on sums."),
        Relative("npo_grad_diff", "With answers to be retained beside them."),
    )

    beta: float = Field(
        0.1, ge=1e-6, le=100, title="Beta", description="How soon it stops: larger values let go of an answer earlier."
    )

    def loss(self, batch: Batch, state: State) -> Tensor:  # noqa: ARG002
        """-(2 / beta) log sigmoid(-beta D), (examples,)."""
        forgotten = batch.of(Role.UNDESIRABLE)
        return batch.added(forgetting(forgotten, self.beta), forgotten)

    def rewards(self, batch: Batch) -> Tensor:
        """beta * log(policy / reference), (S,)."""
        return self.beta * batch.singles().ratios


def forgetting(responses: Responses, beta: float) -> Tensor:
    """NPO's loss of each response, (N,)."""
    return -2 / beta * log_sigmoid(-beta * responses.ratios)
