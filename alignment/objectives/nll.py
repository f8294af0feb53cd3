"""The likelihood of chosen responses: a term that keeps them likely."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from alignment.objectives.objective import PAIRED, Fidelity, Needs, Objective, Paper, State, varying

if TYPE_CHECKING:
    from torch import Tensor

    from alignment.objectives.batch import Batch


class NLL(Objective):
    """Makes chosen responses likelier and takes no notice of rejected ones: supervised learning, as a term of a sum.

    Liu et al. 2024, arXiv 2405.16436: the second term of the RPO loss.  Released code takes the sum over a response's
    tokens in one place and their mean in another; here `per` decides.  Where policy and reference agree means nothing.
    """

    name: ClassVar[str] = "nll"
    title: ClassVar[str] = "Likelihood of the chosen"
    family: ClassVar[str] = "Made of parts"
    formula: ClassVar[str] = r"-\frac{1}{|y_w|}\log\pi(y_w)"
    paper: ClassVar[Paper] = Paper(
        "Provably Mitigating Overoptimization in RLHF: Your SFT Loss is Implicitly an Adversarial Regularizer",
        "Liu et al.",
        2024,
        "2405.16436",
        "",
    )
    fidelity: ClassVar[Fidelity] = "authors_code"
    needs: ClassVar[Needs] = varying(PAIRED, lambda nll: Needs(frozenset(), lengths=nll.per == "token"))
    fixes: ClassVar[str] = "Chosen responses that become less likely while the margin grows."
    costs: ClassVar[str] = "By itself it learns nothing from rejected responses."
    logic: ClassVar[str] = r"M(y_w)"

    per: Literal["token", "response"] = Field(
        "token", title="Per", description="Mean over a response's tokens, or sum over them: long ones then weigh more."
    )

    def loss(self, batch: Batch, state: State) -> Tensor:  # noqa: ARG002
        """-log pi of the chosen response, by token or as a whole, (examples,)."""
        chosen = batch.pairs().chosen
        return -(chosen.averages if self.per == "token" else chosen.logps)

    def rewards(self, batch: Batch) -> Tensor:
        """log pi, by token or as a whole, (S,): likelihood is all that is compared."""
        every = batch.singles()
        return every.averages if self.per == "token" else every.logps
