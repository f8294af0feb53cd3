"""DPO on reasoning with and without traces, mixed to balance bias and variance."""

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


class BVPO(Objective):
    """Mixes DPO on pairs with reasoning traces with DPO on pairs that were answered without any.

    Zhu et al. 2025, arXiv 2510.05095, equation 2.  Traces that were drawn make the gradient noisy, empty traces make
    it biased; alpha is the share of the first.  The second pairs are drawn and judged by themselves, with reasoning
    turned off; data hold them beside the first as `empty_chosen` and `empty_rejected`, and nothing here takes a trace
    out of an answer in their place.  Where policy and reference agree, the loss is log 2.
    """

    name: ClassVar[str] = "bvpo"
    title: ClassVar[str] = "BVPO"
    family: ClassVar[str] = "Pairs with more than labels"
    formula: ClassVar[str] = (
        r"-\alpha\log\sigma(\beta h_t)-(1-\alpha)\log\sigma(\beta h_e),\quad "
        r"h=\log\frac{\pi(y_w)}{\pi_{\mathrm{ref}}(y_w)}-\log\frac{\pi(y_l)}{\pi_{\mathrm{ref}}(y_l)}"
        r"\ \text{with traces }(t)\text{ or without }(e)"
    )
    paper: ClassVar[Paper] = Paper(
        "From Noisy Traces to Stable Gradients: Bias-Variance Optimized Preference Optimization for Aligning Large "
        "Reasoning Models",
        "Zhu et al.",
        2025,
        "2510.05095",
        "2",
    )
    fidelity: ClassVar[Fidelity] = "paper"
    needs: ClassVar[Needs] = Needs(PAIR | {Role.EMPTY_CHOSEN, Role.EMPTY_REJECTED}, reference="sequence")
    fixes: ClassVar[str] = "Long sampled traces drown the preference for an answer in noise; pairs without them do not."
    costs: ClassVar[str] = "A second set of pairs has to be drawn with reasoning turned off, and doubles each step."
    ranges: ClassVar[Mapping[str, Range]] = {"alpha": Range(0.5, 0.5, "in all of its experiments")}
    relatives: ClassVar[tuple[Relative, ...]] = (
        Relative("dpo", "Equals DPO on the pairs with traces at alpha = 1.", at={"alpha": 1.0}),
    )

    beta: float = Field(
        0.1, gt=0, le=100, title="Beta", description="Strength of the pull towards the reference model."
    )
    alpha: float = Field(0.5, ge=0, le=1, title="Alpha", description="Share of the pairs with traces; 1 gives DPO.")

    def loss(self, batch: Batch, state: State) -> Tensor:  # noqa: ARG002
        """alpha times DPO with traces and (1 - alpha) times DPO without, (examples,)."""
        traced, empty = batch.pairs(), batch.paired(Role.EMPTY_CHOSEN, Role.EMPTY_REJECTED)
        return -self.alpha * log_sigmoid(self.beta * traced.margin) - (1 - self.alpha) * log_sigmoid(
            self.beta * empty.margin
        )

    def rewards(self, batch: Batch) -> Tensor:
        """beta * log(policy / reference), (S,)."""
        return self.beta * batch.singles().ratios
