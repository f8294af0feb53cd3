"""Direct preference optimization."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from alignment.objectives.objective import Fidelity, Paper, Range, Relative, State, log_sigmoid
from alignment.objectives.pairs import WithReference, strength

if TYPE_CHECKING:
    from torch import Tensor

    from alignment.objectives.batch import Batch


class DPO(WithReference):
    """Fits the implicit reward beta * log(policy / reference) to the preferences by logistic regression.

    Rafailov et al. 2023, arXiv 2305.18290, equation 7. At policy == reference the loss is log 2. Only the
    margin is trained: both log-probabilities may fall as long as the chosen one falls less.
    """

    name: ClassVar[str] = "dpo"
    title: ClassVar[str] = "DPO"
    formula: ClassVar[str] = (
        r"-\log\sigma\!\left(\beta\left[\log\frac{\pi(y_w)}{\pi_{\mathrm{ref}}(y_w)}"
        r"-\log\frac{\pi(y_l)}{\pi_{\mathrm{ref}}(y_l)}\right]\right)"
    )
    paper: ClassVar[Paper] = Paper(
        "Direct Preference Optimization: Your Language Model is Secretly a Reward Model",
        "Rafailov et al.",
        2023,
        "2305.18290",
        "7",
    )
    fidelity: ClassVar[Fidelity] = "authors_code"
    fixes: ClassVar[str] = (
        "Learns from preferences without a reward model and without sampling: one supervised loss with the optimum "
        "that reinforcement learning under a KL penalty would have."
    )
    costs: ClassVar[str] = (
        "The push fades but never ends, so sure or wrong labels are overfitted; both log-probabilities may fall "
        "while their difference grows; a second model is kept to measure against."
    )
    ranges: ClassVar[Mapping[str, Range]] = {
        "beta": Range(0.01, 0.5, "0.1 as a rule and 0.5 for summaries in the paper; later work on chat settles on 0.01")
    }
    relatives: ClassVar[tuple[Relative, ...]] = (
        Relative("cdpo", "DPO is cDPO without label smoothing; cDPO's margin has a finite optimum."),
        Relative("ipo_avg", "IPO replaces the logistic loss by the distance to a margin that is enough."),
        Relative("simpo", "SimPO compares averages per token and needs no reference model."),
    )
    logic: ClassVar[str] = r"\mathrm{Ref}(y_w)\land M(y_l)\;\Rightarrow\;\mathrm{Ref}(y_l)\land M(y_w)"

    beta: float = strength(0.1)

    def loss(self, batch: Batch, state: State) -> Tensor:  # noqa: ARG002
        """-log sigmoid(beta h), (examples,)."""
        return -log_sigmoid(self.beta * batch.pairs().margin)
