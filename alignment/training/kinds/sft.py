"""Supervised fine-tuning: the likelihood of demonstrations."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from alignment.objectives.batch import Role
from alignment.objectives.objective import Fidelity, Needs, Objective, Paper, State, varying

if TYPE_CHECKING:
    from torch import Tensor

    from alignment.objectives.batch import Batch


class SFT(Objective):
    """Makes the demonstrated responses likelier, token by token.

    The loss is the mean of -log pi over the response tokens of the whole optimizer batch, ends included, so every
    token counts alike and long responses weigh more: what TRL's SFTTrainer computes with its loss on completions.
    With `mean: example` it is the mean over the examples of each one's mean over its tokens.  With `turns: every` each
    answer of a dialogue is an example, whose prompt is what came before it, as generation would be given that.
    """

    name: ClassVar[str] = "sft"
    title: ClassVar[str] = "SFT"
    family: ClassVar[str] = "Demonstrations"
    formula: ClassVar[str] = r"-\frac{1}{\sum_i |y_i|}\sum_i\sum_t\log\pi(y_{i,t}\mid x_i, y_{i,<t})"
    paper: ClassVar[Paper] = Paper(
        "Training language models to follow instructions with human feedback",
        "Ouyang et al.",
        2022,
        "2203.02155",
        "",
    )
    fidelity: ClassVar[Fidelity] = "paper"
    needs: ClassVar[Needs] = varying(
        Needs(frozenset({Role.DESIRABLE})), lambda own: Needs(frozenset(), turns=own.turns == "every")
    )

    mean: Literal["token", "example"] = Field(
        "token",
        description="What counts alike: every token of the optimizer batch, or every example, however long it is.",
    )
    turns: Literal["last", "every"] = Field(
        "last",
        description="Which answers of a dialogue are learned: the last one, or every one, each after what came before "
        "it. Every one is an example of its own.",
    )

    def loss(self, batch: Batch, state: State) -> Tensor:  # noqa: ARG002
        """-log pi of each response over the batch's mean length, or over its own, (examples,)."""
        if self.mean == "example":
            return -batch.singles().averages
        return -batch.logps / batch.mean_length

    def rewards(self, batch: Batch) -> Tensor:
        """The log-probability of each response, (S,): likelihood is all that is compared."""
        return batch.logps
