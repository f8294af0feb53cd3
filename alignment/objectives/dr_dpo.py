"""DPO that is robust to pairs with a wrong label, by a soft minimum over the batch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from alignment.objectives.objective import (
    PAIRED_WITH_REFERENCE,
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


class DrDPO(Objective):
    """A soft minimum of DPO's losses over the optimizer batch: pairs that are badly ranked count for less.

    Wu et al. 2024, arXiv 2407.07880.  The authors take it over the batch of one device; here it is over the whole
    optimizer batch.  Pair i weighs softmax(-loss_i / beta_prime).  Where policy and reference agree, the loss is log 2.
    """

    name: ClassVar[str] = "dr_dpo"
    title: ClassVar[str] = "Dr. DPO"
    family: ClassVar[str] = "Pairs with a reference"
    formula: ClassVar[str] = (
        r"-\beta'\log\frac{1}{B}\sum_{i=1}^{B}\exp\!\left(\frac{\log\sigma(\beta h_i)}{\beta'}\right),\quad "
        r"h_i=\log\frac{\pi(y_{w,i})}{\pi_{\mathrm{ref}}(y_{w,i})}-\log\frac{\pi(y_{l,i})}{\pi_{\mathrm{ref}}(y_{l,i})}"
    )
    paper: ClassVar[Paper] = Paper(
        "Towards Robust Alignment of Language Models: Distributionally Robustifying Direct Preference Optimization",
        "Wu et al.",
        2024,
        "2407.07880",
        "",
    )
    fidelity: ClassVar[Fidelity] = "authors_code"
    needs: ClassVar[Needs] = PAIRED_WITH_REFERENCE._replace(coupled=True)
    fixes: ClassVar[str] = "Pairs whose label is probably wrong no longer pull as hard as all others."
    costs: ClassVar[str] = "Pairs that are right but hard count for less, too; each batch is scored twice."
    ranges: ClassVar[Mapping[str, Range]] = {"beta_prime": Range(0.1, 1.0, "mode_weight of the authors' code")}
    relatives: ClassVar[tuple[Relative, ...]] = (
        Relative(
            "dpo", "As beta prime grows it becomes the mean of DPO; as it goes to 0, the least loss of the batch."
        ),
    )

    beta: float = Field(
        0.1, gt=0, le=100, title="Beta", description="Strength of the pull towards the reference model."
    )
    beta_prime: float = Field(
        1.0, ge=1e-3, le=1e6, title="Beta prime", description="How much hard pairs still count; large gives DPO."
    )

    def loss(self, batch: Batch, state: State) -> Tensor:  # noqa: ARG002
        """-beta' log mean exp(log sigmoid(beta h) / beta'), one number."""
        gains = log_sigmoid(self.beta * batch.pairs().margin) / self.beta_prime
        return -self.beta_prime * (gains.logsumexp(0) - math.log(len(gains)))

    def rewards(self, batch: Batch) -> Tensor:
        """beta * log(policy / reference), (S,)."""
        return self.beta * batch.singles().ratios
