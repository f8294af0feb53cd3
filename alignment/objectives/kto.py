"""Kahneman-Tversky optimization: single answers with a thumb."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from alignment.objectives.batch import Role
from alignment.objectives.objective import Fidelity, Needs, Objective, Paper, Range, Relative, State

if TYPE_CHECKING:
    from torch import Tensor

    from alignment.objectives.batch import Batch


class KTO(Objective):
    """Raises wanted answers above, and unwanted ones below, the point to which the policy has moved on average.

    Ethayarajh et al. 2024, arXiv 2402.01306. The point z0 is the mean log-ratio of answers to other
    prompts over the whole optimizer batch, at least 0 and without gradient. Where policy equals reference each
    example's loss is half its weight.
    """

    name: ClassVar[str] = "kto"
    title: ClassVar[str] = "KTO"
    family: ClassVar[str] = "Single answers"
    formula: ClassVar[str] = (
        r"\lambda_D\,\sigma\big(-\beta(D-z_0)\big)\ \text{wanted},\quad \lambda_U\,\sigma\big(\beta(D-z_0)\big)\ "
        r"\text{unwanted},\quad D=\log\frac{\pi(y)}{\pi_{\mathrm{ref}}(y)},\ z_0=\max(0,\overline{D'})"
    )
    paper: ClassVar[Paper] = Paper(
        "KTO: Model Alignment as Prospect Theoretic Optimization",
        "Ethayarajh et al.",
        2024,
        "2402.01306",
        "",
    )
    fidelity: ClassVar[Fidelity] = "authors_code"
    needs: ClassVar[Needs] = Needs(
        frozenset({Role.DESIRABLE, Role.UNDESIRABLE, Role.MISMATCHED}), reference="sequence", coupled=True, least=2
    )
    fixes: ClassVar[str] = "Learns from thumbs alone: nobody has to compare two answers to one prompt."
    costs: ClassVar[str] = (
        "The answers of other prompts are computed as well, and gradients vanish for answers far from the point: hard "
        "ones are given up."
    )
    ranges: ClassVar[Mapping[str, Range]] = {
        "beta": Range(0.01, 0.5, "0.1 in most of the paper"),
        "lam_d": Range(1.0, 1.5, "so that weight times number of wanted ones is 1 to 1.5 times the unwanted ones'"),
    }
    relatives: ClassVar[tuple[Relative, ...]] = (
        Relative("bco", "BCO classifies around a running mean of rewards instead."),
    )

    beta: float = Field(
        0.1, gt=0, le=100, title="Beta", description="Strength of the pull towards the reference model."
    )
    lam_d: float = Field(1.0, gt=0, le=100, title="Weight of wanted", description="Weight of each wanted answer.")
    lam_u: float = Field(1.0, gt=0, le=100, title="Weight of unwanted", description="Weight of each unwanted answer.")

    def loss(self, batch: Batch, state: State) -> Tensor:  # noqa: ARG002
        """The mean over the answers of lam_d sigmoid(-beta (D - z0)) or lam_u sigmoid(beta (D - z0)), ()."""
        own, others = batch.of(Role.DESIRABLE, Role.UNDESIRABLE), batch.of(Role.MISMATCHED)
        moved = others.ratios.detach().sum() / max(len(others.ratios), 1)
        above = self.beta * (own.ratios - moved.clamp(min=0))
        wanted = own.are(Role.DESIRABLE)
        losses = (self.lam_d * (-above).sigmoid()).where(wanted, self.lam_u * above.sigmoid())
        return losses.mean()

    def rewards(self, batch: Batch) -> Tensor:
        """beta * log(policy / reference), (S,)."""
        return self.beta * batch.singles().ratios
