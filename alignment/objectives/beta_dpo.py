"""DPO whose beta follows the margins of the batch, on the pairs that are most typical."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from alignment.objectives.objective import (
    PAIRED_WITH_REFERENCE,
    Fidelity,
    Needs,
    Objective,
    Paper,
    Relative,
    State,
    log_sigmoid,
)

if TYPE_CHECKING:
    from torch import Tensor

    from alignment.objectives.batch import Batch

LEAST_BETA = 1e-3
LEAST_SPREAD = 1e-8
"""What sigma is taken for at least: before the first step all margins are 0."""


class BetaDPO(Objective):
    """Raises beta where the batch's margins are above their running mean, and leaves out pairs far away from it.

    Wu et al. 2024, arXiv 2407.08639, as in their code: m0 and sigma, the running mean and standard
    deviation of the margins h (without beta), take in the whole optimizer batch first; then a share 1 - filter of the
    pairs is drawn without replacement, with weights exp(-((h - m0) / sigma)^2 / 2), and beta times
    1 + a (mean of the drawn h - m0), never below 0.001 (a clamp), counts for all of them.  Draws go by the run's seed
    and the step.  An evaluation leaves out nothing.  Where policy and reference agree, the loss is log 2.
    """

    name: ClassVar[str] = "beta_dpo"
    title: ClassVar[str] = "β-DPO"
    family: ClassVar[str] = "Pairs with a reference"
    formula: ClassVar[str] = (
        r"-\frac{1}{|K|}\sum_{i\in K}\log\sigma(\beta_K h_i),\quad "
        r"\beta_K=\beta\,\bigl(1+a\,(\tfrac{1}{|K|}\textstyle\sum_{i\in K}h_i-m_0)\bigr),\quad "
        r"h_i=\log\frac{\pi(y_{w,i})}{\pi_{\mathrm{ref}}(y_{w,i})}-\log\frac{\pi(y_{l,i})}{\pi_{\mathrm{ref}}(y_{l,i})}"
    )
    paper: ClassVar[Paper] = Paper(
        "Beta-DPO: Direct Preference Optimization with Dynamic Beta",
        "Wu et al.",
        2024,
        "2407.08639",
        "",
    )
    fidelity: ClassVar[Fidelity] = "authors_code"
    needs: ClassVar[Needs] = PAIRED_WITH_REFERENCE._replace(coupled=True, state=True, least=2)
    fixes: ClassVar[str] = "One beta for easy and hard batches; outliers that are probably wrong labels."
    costs: ClassVar[str] = "Some pairs of each batch teach nothing; each batch is scored twice."
    relatives: ClassVar[tuple[Relative, ...]] = (
        Relative("dpo", "Equals DPO at a = 0 and without a filter.", at={"a": 0.0, "filter": 0.0}),
    )

    beta: float = Field(0.1, gt=0, le=100, title="Beta", description="Beta where margins are at their running mean.")
    a: float = Field(0.6, ge=0, le=100, title="a", description="How far beta follows the batch's margins.")
    filter: float = Field(0.2, ge=0, lt=1, title="Filter", description="Share of the pairs of a batch left out.")
    momentum: float = Field(
        0.9, ge=0, lt=1, title="Momentum", description="How slowly the running mean and deviation move."
    )

    def start(self) -> dict[str, Tensor]:
        """m0 and sigma are 0."""
        import torch

        return {name: torch.zeros((), dtype=torch.float64) for name in ("m0", "sigma")}

    def move(self, batch: Batch, state: State) -> dict[str, Tensor]:
        """m0 and sigma with this batch's mean and (unbiased) standard deviation taken in; one pair deviates by 0."""
        margin, kept = batch.pairs().margin, self.momentum
        spread = margin.std() if len(margin) > 1 else margin.new_zeros(())
        m0, sigma = kept * state.values["m0"], kept * state.values["sigma"]
        return {"m0": m0 + (1 - kept) * margin.mean(), "sigma": sigma + (1 - kept) * spread}

    def loss(self, batch: Batch, state: State) -> Tensor:
        """The mean over the drawn pairs of -log sigmoid(their beta * h), one number."""
        margin = batch.pairs().margin
        kept = margin[self.drawn(margin.detach(), state)]
        return self.of(kept, state.moved["m0"].to(margin)).mean()

    def of(self, kept: Tensor, m0: Tensor) -> Tensor:
        """-log sigmoid(beta h) of pairs with the beta that these pairs have together, (kept,)."""
        beta = self.beta * (1 + self.a * (kept.detach().mean() - m0))
        return -log_sigmoid(beta.clamp(min=LEAST_BETA) * kept)

    def drawn(self, margin: Tensor, state: State) -> Tensor:
        """Places of the pairs that count, in their order; drawn by seed and step, the same on every device.

        The largest of log weight + Gumbel noise are a draw without replacement, however small all weights are.
        """
        import torch

        count = max(1, int(len(margin) * (1 - self.filter)))
        if not state.training or count == len(margin):
            return torch.arange(len(margin), device=margin.device)
        generator = torch.Generator().manual_seed((state.seed << 31) + state.step)
        noise = -torch.rand(len(margin), generator=generator, dtype=torch.float64).log().neg().log()
        logs = self.log_weights(margin.cpu().double(), state.moved["m0"].cpu(), state.moved["sigma"].cpu())
        return (logs + noise).topk(count).indices.sort().values.to(margin.device)

    @staticmethod
    def log_weights(margin: Tensor, m0: Tensor, sigma: Tensor) -> Tensor:
        """-((h - m0) / sigma)^2 / 2, (pairs,)."""
        return -(((margin - m0) / sigma.clamp(min=LEAST_SPREAD)) ** 2) / 2

    def rewards(self, batch: Batch) -> Tensor:
        """beta * log(policy / reference), (S,), with the beta of the hyperparameters."""
        return self.beta * batch.singles().ratios
