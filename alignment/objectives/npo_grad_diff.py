"""NPO on what is to go, training on what is to stay."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from alignment.objectives.forgetting import FORGET_AND_RETAIN, Forgetting
from alignment.objectives.npo import forgetting
from alignment.objectives.objective import Fidelity, Needs, Paper, Relative, State

if TYPE_CHECKING:
    from torch import Tensor

    from alignment.objectives.batch import Batch, Responses


class NPOGradientDifference(Forgetting):
    """NPO on unwanted answers beside training on answers to be retained.

    Zhang et al. 2024, arXiv 2404.05868 (NPO + RT). Where policy equals reference an unwanted answer's loss
    is (2 / beta) log 2.
    """

    name: ClassVar[str] = "npo_grad_diff"
    title: ClassVar[str] = "NPO with retained answers"
    formula: ClassVar[str] = (
        r"-\lambda_f\,\frac{2}{\beta}\log\sigma\!\left(-\beta\log\frac{\pi(y_f)}{\pi_{\mathrm{ref}}(y_f)}\right)\ "
        r"\text{unwanted},\quad -\lambda_r\,\frac{1}{|y_r|}\log\pi(y_r)\ \text{retained}"
    )
    paper: ClassVar[Paper] = Paper(
        "Negative Preference Optimization: From Catastrophic Collapse to Effective Unlearning",
        "Zhang et al.",
        2024,
        "2404.05868",
        "",
    )
    fidelity: ClassVar[Fidelity] = "authors_code"
    needs: ClassVar[Needs] = Needs(FORGET_AND_RETAIN, reference="sequence", lengths=True)
    fixes: ClassVar[str] = "Forgets without collapse and keeps what is to stay."
    costs: ClassVar[str] = "NPO is on sums and retaining on averages, so the weights need a look at both losses."
    relatives: ClassVar[tuple[Relative, ...]] = (
        Relative("npo", "Without retained answers it is NPO."),
        Relative("grad_diff", "With gradient ascent in the place of NPO."),
    )

    beta: float = Field(
        0.1, ge=1e-6, le=100, title="Beta", description="How soon it stops: larger values let go of an answer earlier."
    )

    def forgotten(self, responses: Responses) -> Tensor:
        """-(2 / beta) log sigmoid(-beta D), (N,)."""
        return forgetting(responses, self.beta)

    def loss(self, batch: Batch, state: State) -> Tensor:  # noqa: ARG002
        """forget_coef times NPO, or -retain_coef times log policy per token, (examples,)."""
        return self.both(batch)

    def rewards(self, batch: Batch) -> Tensor:
        """beta * log(policy / reference), (S,)."""
        return self.beta * batch.singles().ratios
