"""DPO with optimism for what the reference would not say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from alignment.objectives.batch import Role
from alignment.objectives.objective import (
    PAIR,
    Fidelity,
    Needs,
    Objective,
    Paper,
    Range,
    Relative,
    State,
    log_sigmoid,
)

if TYPE_CHECKING:
    from torch import Tensor

    from alignment.objectives.batch import Batch


class XPO(Objective):
    """Adds to DPO the log-probability of a sample of the reference, so that the policy moves away from it.

    Xie et al. 2024, arXiv 2405.21046, the loss XPO.  Its pairs are drawn anew and judged online.  The term is
    unbounded below.  Where policy and reference agree, the loss is log 2 plus alpha times that log-probability.
    """

    name: ClassVar[str] = "xpo"
    title: ClassVar[str] = "XPO"
    family: ClassVar[str] = "Pairs with more than labels"
    formula: ClassVar[str] = (
        r"-\log\sigma(\beta h)+\alpha\log\pi(y_{\mathrm{ref}}),\quad y_{\mathrm{ref}}\sim\pi_{\mathrm{ref}},\quad "
        r"h=\log\frac{\pi(y_w)}{\pi_{\mathrm{ref}}(y_w)}-\log\frac{\pi(y_l)}{\pi_{\mathrm{ref}}(y_l)}"
    )
    paper: ClassVar[Paper] = Paper(
        "Exploratory Preference Optimization: Harnessing Implicit Q*-Approximation for Sample-Efficient RLHF",
        "Xie et al.",
        2024,
        "2405.21046",
        "",
    )
    fidelity: ClassVar[Fidelity] = "paper"
    needs: ClassVar[Needs] = Needs(PAIR | {Role.REFERENCE_SAMPLE}, reference="sequence")
    fixes: ClassVar[str] = (
        "DPO only learns about what it happens to say; optimism makes it try what the reference avoids."
    )
    costs: ClassVar[str] = "Both responses are drawn anew and judged at every step, which no fixed data can do."
    ranges: ClassVar[Mapping[str, Range]] = {"alpha": Range(1e-5, 1e-5, "the default of TRL; the paper gives none")}
    relatives: ClassVar[tuple[Relative, ...]] = (Relative("dpo", "Equals DPO at alpha = 0.", at={"alpha": 0.0}),)

    beta: float = Field(
        0.1, gt=0, le=100, title="Beta", description="Strength of the pull towards the reference model."
    )
    alpha: float = Field(1e-5, ge=0, le=100, title="Alpha", description="Strength of the optimism; 0 gives DPO.")

    def loss(self, batch: Batch, state: State) -> Tensor:  # noqa: ARG002
        """-log sigmoid(beta h) + alpha log policy(sample of the reference), (examples,)."""
        return self.alpha * batch.of(Role.REFERENCE_SAMPLE).logps - log_sigmoid(self.beta * batch.pairs().margin)

    def rewards(self, batch: Batch) -> Tensor:
        """beta * log(policy / reference), (S,)."""
        return self.beta * batch.singles().ratios
