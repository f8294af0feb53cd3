"""DPO on log-ratios per token."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from alignment.objectives.objective import (
    PAIRED_WITH_REFERENCE,
    Fidelity,
    Needs,
    Paper,
    Range,
    Relative,
    State,
    log_sigmoid,
)
from alignment.objectives.pairs import RATIO, WithReference, strength

if TYPE_CHECKING:
    from torch import Tensor

    from alignment.objectives.batch import Batch


class LengthNormalizedDPO(WithReference):
    """DPO that compares log-ratios per token, so that length earns nothing by itself.

    Ahrabian et al. 2024, arXiv 2407.15229, where it is LN-DPO; Lambert et al. 2024, arXiv 2411.15124 (Tulu 3), train
    with it. At policy == reference the loss is log 2. beta is on a per-token scale.
    """

    name: ClassVar[str] = "ln_dpo"
    title: ClassVar[str] = "LN-DPO"
    formula: ClassVar[str] = (
        r"-\log\sigma\!\left(\beta\left[\frac{d(y_w)}{|y_w|}-\frac{d(y_l)}{|y_l|}\right]\right),\quad " + RATIO
    )
    paper: ClassVar[Paper] = Paper(
        "The Hitchhiker's Guide to Human Alignment with *PO", "Ahrabian et al.", 2024, "2407.15229", ""
    )
    fidelity: ClassVar[Fidelity] = "paper"
    needs: ClassVar[Needs] = PAIRED_WITH_REFERENCE._replace(lengths=True)
    fixes: ClassVar[str] = "Answers that grow longer only because sums over more tokens make larger margins."
    costs: ClassVar[str] = "Short answers move more per token than long ones; beta has to be found anew."
    ranges: ClassVar[Mapping[str, Range]] = {"beta": Range(1.0, 5.0, "5 in Tulu 3")}
    relatives: ClassVar[tuple[Relative, ...]] = (
        Relative("dpo", "Where both responses have n tokens, DPO with beta / n."),
        Relative("simpo", "SimPO compares averages too, without a reference and with a margin."),
        Relative("r_dpo", "R-DPO keeps sums and pays for the difference of the lengths."),
    )

    beta: float = strength(2.0)

    def loss(self, batch: Batch, state: State) -> Tensor:  # noqa: ARG002
        """-log sigmoid(beta (chosen - rejected log-ratio per token)), (examples,)."""
        pairs = batch.pairs()
        return -log_sigmoid(self.beta * (pairs.chosen.average_ratios - pairs.rejected.average_ratios))

    def rewards(self, batch: Batch) -> Tensor:
        """beta * log(policy / reference) per token, (S,)."""
        return self.beta * batch.singles().average_ratios
