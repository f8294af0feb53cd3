"""Gradient ascent: forgetting by the plainest means."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from alignment.objectives.batch import Role
from alignment.objectives.objective import Fidelity, Needs, Objective, Paper, Relative, State

if TYPE_CHECKING:
    from torch import Tensor

    from alignment.objectives.batch import Batch


class GradientAscent(Objective):
    """Lowers the log-probability per token of unwanted answers, without an end.

    Jang et al. 2022, arXiv 2210.01504; per token as in the baselines of Zhang et al. 2024, arXiv 2404.05868. The loss
    is unbounded below, and there is no reference.
    """

    name: ClassVar[str] = "grad_ascent"
    title: ClassVar[str] = "Gradient ascent"
    family: ClassVar[str] = "Forgetting"
    formula: ClassVar[str] = r"\frac{1}{|y|}\log\pi(y)"
    paper: ClassVar[Paper] = Paper(
        "Knowledge Unlearning for Mitigating Privacy Risks in Language Models",
        "Jang et al.",
        2022,
        "2210.01504",
        "",
    )
    fidelity: ClassVar[Fidelity] = "authors_code"
    needs: ClassVar[Needs] = Needs(frozenset({Role.UNDESIRABLE}), lengths=True)
    fixes: ClassVar[str] = "The baseline of forgetting: no reference, no hyperparameter."
    costs: ClassVar[str] = "Nothing stops it: after few steps the model answers nothing sensibly any more."
    relatives: ClassVar[tuple[Relative, ...]] = (
        Relative("npo", "NPO stops by itself."),
        Relative("grad_diff", "With answers to be retained beside them."),
    )

    def loss(self, batch: Batch, state: State) -> Tensor:  # noqa: ARG002
        """log policy per token of unwanted answers, (examples,)."""
        forgotten = batch.of(Role.UNDESIRABLE)
        return batch.added(forgotten.averages, forgotten)

    def rewards(self, batch: Batch) -> Tensor:
        """log policy per token, (S,)."""
        return batch.singles().averages
