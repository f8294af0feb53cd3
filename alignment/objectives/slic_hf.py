"""Sequence likelihood calibration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from alignment.objectives.objective import PAIRED, Fidelity, Needs, Objective, Paper, Range, Relative, State
from alignment.objectives.pairs import WITHOUT_REFERENCE

if TYPE_CHECKING:
    from torch import Tensor

    from alignment.objectives.batch import Batch


class SLiC(Objective):
    """Hinge loss on the log-probabilities themselves, with the chosen response as what fine-tuning holds on to.

    Zhao et al. 2023, arXiv 2305.10425. Without a reference; where both responses are equally likely the loss
    is delta - lam log policy(y_w).
    """

    name: ClassVar[str] = "slic_hf"
    title: ClassVar[str] = "SLiC-HF"
    family: ClassVar[str] = WITHOUT_REFERENCE
    formula: ClassVar[str] = r"\max\left(0,\delta-\log\pi(y_w)+\log\pi(y_l)\right)-\lambda\log\pi(y_w)"
    paper: ClassVar[Paper] = Paper(
        "SLiC-HF: Sequence Likelihood Calibration with Human Feedback", "Zhao et al.", 2023, "2305.10425", ""
    )
    fidelity: ClassVar[Fidelity] = "paper"
    needs: ClassVar[Needs] = PAIRED
    fixes: ClassVar[str] = "The cost of a reference model: likelihoods are put in order and then left alone."
    costs: ClassVar[str] = "Sums over tokens: a long chosen answer is asked for more than a short one."
    ranges: ClassVar[Mapping[str, Range]] = {"delta": Range(1.0, 1.0, "in the paper's experiments")}
    relatives: ClassVar[tuple[Relative, ...]] = (
        Relative("rso_hinge_norm", "The hinge on log-ratios, without a regularizer."),
        Relative("cpo", "CPO is the same with a logistic loss."),
    )
    logic: ClassVar[str] = r"M(y_l)\;\Rightarrow\;M(y_w)"

    delta: float = Field(
        1.0, ge=0, le=1000, title="Delta", description="Margin of log-probability from which a pair is left alone."
    )
    lam: float = Field(0.1, ge=0, le=100, title="Lambda", description="Weight of the chosen response's likelihood.")

    def loss(self, batch: Batch, state: State) -> Tensor:  # noqa: ARG002
        """max(0, delta - log policy(chosen) + log policy(rejected)) - lam log policy(chosen), (examples,)."""
        pairs = batch.pairs()
        margin = pairs.chosen.logps - pairs.rejected.logps
        return (self.delta - margin).relu() - self.lam * pairs.chosen.logps

    def rewards(self, batch: Batch) -> Tensor:
        """log policy, (S,)."""
        return batch.singles().logps
