"""Binary classifier optimization on pairs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from alignment.objectives.batch import Role
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
from alignment.objectives.pairs import RATIO, WithReference, strength, varying

if TYPE_CHECKING:
    from torch import Tensor

    from alignment.objectives.batch import Batch


class BCOPair(WithReference):
    """Trains the policy as a classifier of chosen and rejected responses, around the mean of all rewards so far.

    Jung et al. 2024, arXiv 2404.04656. The threshold delta is the mean reward of all responses of the run up
    to and with this optimizer batch, without gradient; `shift: none` leaves it at 0, as TRL's DPO trainer does. At
    policy == reference, from the start, the loss is 2 log 2.
    """

    name: ClassVar[str] = "bco_pair"
    title: ClassVar[str] = "BCO (pairs)"
    formula: ClassVar[str] = (
        r"-\log\sigma(\beta d(y_w)-\delta)-\log\sigma(\delta-\beta d(y_l)),\quad \delta=\overline{\beta d},\quad "
        + RATIO
    )
    paper: ClassVar[Paper] = Paper(
        "Binary Classifier Optimization for Large Language Model Alignment",
        "Jung et al.",
        2024,
        "2404.04656",
        "",
    )
    fidelity: ClassVar[Fidelity] = "paper"
    needs: ClassVar[Needs] = varying(PAIRED_WITH_REFERENCE._replace(state=True), "shift", "none", PAIRED_WITH_REFERENCE)
    fixes: ClassVar[str] = "Margins that grow while both sides fall: each side is judged against a threshold by itself."
    costs: ClassVar[str] = "The threshold remembers all rewards since the start, so it lags behind a fast policy."
    ranges: ClassVar[Mapping[str, Range]] = {"beta": Range(0.01, 0.01, "in the paper's experiments")}
    relatives: ClassVar[tuple[Relative, ...]] = (
        Relative("nca_pair", "NCA pulls the chosen response back once it is likely enough."),
        Relative("apo_zero", "APO-zero asks the same of both sides, with losses that level off."),
    )

    beta: float = strength(0.01)
    shift: Literal["pooled", "none"] = Field(
        "pooled", title="Threshold", description="Mean of all rewards so far (pooled), or 0 (none)."
    )

    def start(self) -> dict[str, Tensor]:
        """No reward seen yet: their sum and their number."""
        import torch

        zero = torch.zeros((), dtype=torch.float64)
        return {"sum": zero, "count": zero} if self.needs.state else {}

    def move(self, batch: Batch, state: State) -> dict[str, Tensor]:
        """The rewards of the batch's pairs join those seen so far."""
        if not self.needs.state:
            return {}
        rewards = (self.beta * batch.of(Role.CHOSEN, Role.REJECTED).ratios).double()
        return {"sum": state.values["sum"] + rewards.sum(), "count": state.values["count"] + len(rewards)}

    def loss(self, batch: Batch, state: State) -> Tensor:
        """-log sigmoid(chosen reward - delta) - log sigmoid(delta - rejected reward), (examples,)."""
        pairs = batch.pairs()
        better, worse = self.beta * pairs.chosen.ratios, self.beta * pairs.rejected.ratios
        if self.needs.state:
            delta = (state.moved["sum"] / state.moved["count"].clamp(min=1)).to(better.dtype)
            better, worse = better - delta, worse - delta
        return -log_sigmoid(better) - log_sigmoid(-worse)
