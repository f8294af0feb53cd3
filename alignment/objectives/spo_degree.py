"""DPO that also tells how much was taken out of a response."""

from __future__ import annotations

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

HEAD = "degree_logits"


class SPODegree(Objective):
    """Adds to DPO the cross-entropy of a head that tells how much key content each response has lost.

    Li et al. 2024, arXiv 2409.17791; reconstructed, as the released repository holds no code.  `degree_logits` are the
    head's, (S, 4), with their gradients.  Where policy and reference agree, the loss is log 2 plus gamma times
    both cross-entropies.
    """

    name: ClassVar[str] = "spo_degree"
    title: ClassVar[str] = "SPO"
    family: ClassVar[str] = "Pairs with more than labels"
    formula: ClassVar[str] = (
        r"-\log\sigma(\beta h)+\gamma\left(\mathrm{CE}(d_w)+\mathrm{CE}(d_l)\right),\quad "
        r"h=\log\frac{\pi(y_w)}{\pi_{\mathrm{ref}}(y_w)}-\log\frac{\pi(y_l)}{\pi_{\mathrm{ref}}(y_l)}"
    )
    paper: ClassVar[Paper] = Paper(
        "Self-supervised Preference Optimization: Enhance Your Language Model with Preference Degree Awareness",
        "Li et al.",
        2024,
        "2409.17791",
        "",
    )
    fidelity: ClassVar[Fidelity] = "reconstruction"
    needs: ClassVar[Needs] = PAIRED_WITH_REFERENCE._replace(facts=frozenset({HEAD}))
    fixes: ClassVar[str] = (
        "Labels say which answer is better and not by how much; degraded copies of answers teach that."
    )
    costs: ClassVar[str] = "Responses have to be degraded by known amounts, and a head is trained beside the model."
    ranges: ClassVar[Mapping[str, Range]] = {}
    relatives: ClassVar[tuple[Relative, ...]] = (Relative("dpo", "Equals DPO at gamma = 0.", at={"gamma": 0.0}),)

    beta: float = Field(
        0.1, gt=0, le=100, title="Beta", description="Strength of the pull towards the reference model."
    )
    gamma: float = Field(0.1, ge=0, le=100, title="Gamma", description="How much the degrees count; 0 gives DPO.")
    deg_w: int = Field(
        0, ge=0, le=3, title="Degree of chosen", description="How much was taken out of the chosen response."
    )
    deg_l: int = Field(
        3, ge=0, le=3, title="Degree of rejected", description="How much was taken out of the rejected response."
    )

    def loss(self, batch: Batch, state: State) -> Tensor:  # noqa: ARG002
        """-log sigmoid(beta h) + gamma times the cross-entropies of both degrees, (examples,)."""
        pairs = batch.pairs()
        told = (
            pairs.chosen.facts[HEAD].log_softmax(-1)[:, self.deg_w]
            + pairs.rejected.facts[HEAD].log_softmax(-1)[:, self.deg_l]
        )
        return -log_sigmoid(self.beta * pairs.margin) - self.gamma * told

    def rewards(self, batch: Batch) -> Tensor:
        """beta * log(policy / reference), (S,)."""
        return self.beta * batch.singles().ratios
