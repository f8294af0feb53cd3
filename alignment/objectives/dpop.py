"""DPO that keeps the chosen response likely."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from alignment.objectives.objective import Fidelity, Paper, Range, Relative, State, log_sigmoid
from alignment.objectives.pairs import MARGIN, WithReference, strength

if TYPE_CHECKING:
    from torch import Tensor

    from alignment.objectives.batch import Batch


class DPOP(WithReference):
    """DPO in which a chosen response pays, lam times over, for being less likely than under the reference.

    Pal et al. 2024, arXiv 2402.13228 (Smaug). At policy == reference the loss is log 2 and its gradient DPO's: the
    kink lies there, and the penalty's slope is taken as 0 at it.
    """

    name: ClassVar[str] = "dpop"
    title: ClassVar[str] = "DPOP"
    formula: ClassVar[str] = (
        r"-\log\sigma\!\left(\beta\left[h-\lambda\max\left(0,\log\frac{\pi_{\mathrm{ref}}(y_w)}{\pi(y_w)}\right)\right]"
        r"\right),\quad " + MARGIN
    )
    paper: ClassVar[Paper] = Paper(
        "Smaug: Fixing Failure Modes of Preference Optimisation with DPO-Positive",
        "Pal et al.",
        2024,
        "2402.13228",
        "",
    )
    fidelity: ClassVar[Fidelity] = "paper"
    fixes: ClassVar[str] = (
        "Chosen responses that become less likely while the margin grows, as happens where the two sides differ in a "
        "few tokens."
    )
    costs: ClassVar[str] = (
        "With a large lambda one chosen response below the reference outweighs all else in its batch."
    )
    ranges: ClassVar[Mapping[str, Range]] = {"lam": Range(5.0, 500.0, "50 as a rule")}
    relatives: ClassVar[tuple[Relative, ...]] = (
        Relative(
            "dpo", "Equals DPO at lambda = 0, and wherever the chosen response is no less likely.", at={"lam": 0.0}
        ),
        Relative("rpo_average", "RPO holds the chosen response up everywhere, with a constant pull."),
    )

    beta: float = strength(0.3)
    lam: float = Field(
        50.0, ge=0, le=1000, title="Lambda", description="Price of a chosen response below the reference."
    )

    def loss(self, batch: Batch, state: State) -> Tensor:  # noqa: ARG002
        """-log sigmoid(beta (h - lam max(0, -chosen log-ratio))), (examples,)."""
        pairs = batch.pairs()
        return -log_sigmoid(self.beta * (pairs.margin - self.lam * (-pairs.chosen.ratios).relu()))
