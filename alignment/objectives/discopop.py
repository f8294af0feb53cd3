"""Discovered preference optimization: logistic and exponential, blended."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from alignment.objectives.bounded import exponential
from alignment.objectives.objective import Fidelity, Paper, Range, Relative, State, log_sigmoid
from alignment.objectives.pairs import MARGIN, WithReference, strength

if TYPE_CHECKING:
    from torch import Tensor

    from alignment.objectives.batch import Batch


class DiscoPOP(WithReference):
    """A blend of the logistic and the exponential loss by the margin itself, found by a language model's search.

    Lu et al. 2024, arXiv 2406.08414. At policy == reference the loss is (log 2 + 1) / 2, and with a small
    tau the margin is pushed down there: the loss is not monotone. The exponential part, sigmoid(z/tau) e^{-z}, is
    clamped where its exponent is 20 and goes on as a line from there; up to tau = 1 it never gets there.
    """

    name: ClassVar[str] = "discopop"
    title: ClassVar[str] = "DiscoPOP"
    formula: ClassVar[str] = (
        r"\left(1-\sigma\!\left(\tfrac{z}{\tau}\right)\right)\left(-\log\sigma(z)\right)"
        r"+\sigma\!\left(\tfrac{z}{\tau}\right)e^{-z},\quad z=\beta h,\quad " + MARGIN
    )
    paper: ClassVar[Paper] = Paper(
        "Discovering Preference Optimization Algorithms with and for Large Language Models",
        "Lu et al.",
        2024,
        "2406.08414",
        "",
    )
    fidelity: ClassVar[Fidelity] = "authors_code"
    fixes: ClassVar[str] = "Nothing by design: it came out best of a search, and does well where DPO does."
    costs: ClassVar[str] = "A bump near no preference, between two optima: some pairs are left ranked slightly wrong."
    ranges: ClassVar[Mapping[str, Range]] = {
        "beta": Range(0.05, 0.05, "in the paper"),
        "tau": Range(0.05, 0.05, "in the paper"),
    }
    relatives: ClassVar[tuple[Relative, ...]] = (
        Relative("dpo", "DPO's logistic loss is one of its two parts; with a large tau both count a half."),
    )
    logic: ClassVar[str] = r"\mathrm{Ref}(y_w)\land M(y_l)\;\Rightarrow\;\mathrm{Ref}(y_l)\land M(y_w)"

    beta: float = strength(0.05)
    tau: float = Field(
        0.05,
        ge=1e-3,
        le=1e9,
        title="Tau",
        description="Temperature of the blend: how slowly one part gives way to the other.",
    )

    def loss(self, batch: Batch, state: State) -> Tensor:  # noqa: ARG002
        """sigmoid(-z/tau) (-log sigmoid(z)) + sigmoid(z/tau) e^{-z} with z = beta h, (examples,)."""
        z = self.beta * batch.pairs().margin
        return -(-z / self.tau).sigmoid() * log_sigmoid(z) + exponential(log_sigmoid(z / self.tau) - z)
