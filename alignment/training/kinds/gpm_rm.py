"""Preference models that need no order: embeddings of responses, compared by a skew-symmetric form."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from alignment.objectives.batch import Role
from alignment.objectives.objective import PAIRED, Fidelity, Needs, Paper, Range, Relative, log_sigmoid
from alignment.training.kinds.scored import RewardLoss

if TYPE_CHECKING:
    from torch import Tensor

    from alignment.objectives.batch import Batch

TINY = 1e-12
"""Stands beside the squared length of an embedding, so that one of nothing has a gradient."""


class GPM(RewardLoss):
    """Fits embeddings so that sigmoid(v_i R v_j / tau) is the probability that response i beats response j.

    Zhang et al. 2024, arXiv 2410.02197. R is block diagonal, a quarter turn of each two dimensions: s(i > j) =
    sum_l scale_l (v_i[2l-1] v_j[2l] - v_i[2l] v_j[2l-1]), so s(i > j) = -s(j > i), and a response is even with itself.
    Two dimensions are enough for rock, paper and scissors, which no scores can order. With `gate`, scale = k softmax
    (what the prompt's last token says), else 1; with `normalize`, embeddings have length 1 (their squared lengths get
    1e-12 more, so that one of nothing has a gradient). Where two embeddings are equal the loss is log 2.
    """

    name: ClassVar[str] = "gpm_rm"
    title: ClassVar[str] = "General preference"
    formula: ClassVar[str] = (
        r"-\log\sigma\!\Big(\tfrac{1}{\tau}\sum_{l=1}^{k}\lambda_l(x)"
        r"\left(v_w^{2l-1}v_l^{2l}-v_w^{2l}v_l^{2l-1}\right)\Big)"
    )
    paper: ClassVar[Paper] = Paper(
        "General Preference Modeling with Preference Representations for Aligning Language Models",
        "Zhang et al.",
        2024,
        "2410.02197",
        "",
    )
    fidelity: ClassVar[Fidelity] = "authors_code"
    needs: ClassVar[Needs] = PAIRED
    fixes: ClassVar[str] = "Learns preferences that go in a circle, where every score is wrong about some pair."
    costs: ClassVar[str] = "No response has a score of its own: it is preferred to another one, or is not."
    ranges: ClassVar[Mapping[str, Range]] = {"dimensions": Range(2, 8), "tau": Range(0.1, 0.1)}
    relatives: ClassVar[tuple[Relative, ...]] = (
        Relative("bradley_terry", "Embeddings (score, 1), as they are and at τ = 1, give Bradley-Terry."),
    )
    comparable: ClassVar[bool] = False

    dimensions: int = Field(
        4,
        ge=2,
        le=64,
        multiple_of=2,
        title="Dimensions",
        description="Of the embedding of each response, two for each circle that preferences may go in. Two of unit "
        "length are easily stuck where all embeddings are alike.",
    )
    tau: float = Field(
        0.1, gt=0, le=100, title="Tau", description="Preference scores are divided by it: how sure the model can be."
    )
    normalize: bool = Field(
        True,
        title="Unit length",
        description="Embeddings have length 1, as in the paper; the released code lets them be any.",
    )
    gate: bool = Field(
        False,
        title="Scales by prompt",
        description="How much each two dimensions count is learned, and depends on the prompt.",
    )

    @property
    def blocks(self) -> int:
        """How many two dimensions there are."""
        return self.dimensions // 2

    @property
    def labels(self) -> tuple[str, ...]:
        """The embedding's dimensions, then what the scales are made of."""
        scales = tuple(f"gate_{number}" for number in range(1, self.of_prompt + 1))
        return (*(f"embedding_{number}" for number in range(1, self.dimensions + 1)), *scales)

    @property
    def of_prompt(self) -> int:
        """The scales' share: one for each two dimensions."""
        return self.blocks if self.gate else 0

    def preference(self, some: Tensor, others: Tensor) -> Tensor:
        """s(some > others), (N,), of what the head gives for as many responses to the same prompts, (N, labels)."""
        one, other = self._embedding(some), self._embedding(others)
        turned = one[..., 0] * other[..., 1] - one[..., 1] * other[..., 0]
        if not self.gate:
            return turned.sum(1)
        return (turned * self.blocks * some[:, self.dimensions :].softmax(1)).sum(1)

    def _embedding(self, labels: Tensor) -> Tensor:
        """(N, blocks, 2)."""
        given = labels[:, : self.dimensions]
        if self.normalize:
            given = given / (given.square().sum(1, keepdim=True) + TINY).sqrt()
        return given.reshape(-1, self.blocks, 2)

    def member(self, batch: Batch) -> Tensor:
        """-log sigmoid(s(chosen > rejected) / tau), (examples,)."""
        return -log_sigmoid(self._odds(batch))

    def _odds(self, batch: Batch) -> Tensor:
        pairs = batch.pairs()
        return self.preference(pairs.chosen.logps, pairs.rejected.logps) / self.tau

    def rewards(self, batch: Batch) -> Tensor:
        """Half of the log-odds of each pair for the chosen response, and less so much for the rejected one, (S,)."""
        half = self._odds(batch)[batch.example] / 2
        return half.where(batch.role == int(Role.CHOSEN), -half)
