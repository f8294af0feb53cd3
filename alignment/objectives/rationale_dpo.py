"""DPO that also learns to say why the chosen response is better."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from alignment.objectives.batch import Role
from alignment.objectives.objective import (
    PAIR,
    Fidelity,
    Needs,
    Objective,
    Paper,
    Range,
    Relative,
    State,
    log_sigmoid,
)

if TYPE_CHECKING:
    from torch import Tensor

    from alignment.objectives.batch import Batch


class RationaleDPO(Objective):
    """Adds the likelihood of a rationale, told after the prompt and both responses, to DPO.

    The rationale has a prompt of its own: the pair's prompt, answered by the chosen response, and a last turn that
    quotes the rejected one and asks why the answer given is the better one (`alignment.training.told.REQUEST`).

    Just et al. 2024, arXiv 2407.14477, the loss RDPO: linear as the paper writes it, or through a log-sigmoid as its
    released code does.  A rationale needs no reference.  Where policy and reference agree, the loss is log 2 less
    gamma times the rationale's log-probability, or log 2 - log sigmoid of that product.
    """

    name: ClassVar[str] = "rationale_dpo"
    title: ClassVar[str] = "DPO with rationales"
    family: ClassVar[str] = "Pairs with more than labels"
    formula: ClassVar[str] = (
        r"-\log\sigma(\beta h)-\gamma\log\pi(r\mid x,y_w,y_l),\quad "
        r"h=\log\frac{\pi(y_w)}{\pi_{\mathrm{ref}}(y_w)}-\log\frac{\pi(y_l)}{\pi_{\mathrm{ref}}(y_l)}"
    )
    paper: ClassVar[Paper] = Paper(
        "Data-Centric Human Preference Optimization with Rationales", "Just et al.", 2024, "2407.14477", ""
    )
    fidelity: ClassVar[Fidelity] = "paper"
    needs: ClassVar[Needs] = Needs(PAIR | {Role.RATIONALE}, reference="sequence")
    fixes: ClassVar[str] = "A label does not say what made an answer better; a reason does, so fewer pairs are needed."
    costs: ClassVar[str] = "Someone has to write a rationale for every pair, and each costs one more sequence a step."
    ranges: ClassVar[Mapping[str, Range]] = {
        "gamma": Range(0.001, 0.1, "0.001 and 0.1 with the log-sigmoid form in the released code")
    }
    relatives: ClassVar[tuple[Relative, ...]] = (
        Relative(
            "dpo", "Equals DPO at gamma = 0; the log-sigmoid form then adds log 2.", at={"gamma": 0.0, "form": "linear"}
        ),
    )

    beta: float = Field(
        0.1, gt=0, le=100, title="Beta", description="Strength of the pull towards the reference model."
    )
    gamma: float = Field(0.001, ge=0, le=100, title="Gamma", description="How much the rationale counts.")
    form: Literal["linear", "logsigmoid"] = Field(
        "linear",
        title="Form",
        description="How its log-probability enters: as the paper writes it, or as the code does.",
    )

    def loss(self, batch: Batch, state: State) -> Tensor:  # noqa: ARG002
        """-log sigmoid(beta h) and the rationale's term, (examples,)."""
        told = self.gamma * batch.of(Role.RATIONALE).logps
        term = told if self.form == "linear" else log_sigmoid(told)
        return -log_sigmoid(self.beta * batch.pairs().margin) - term

    def rewards(self, batch: Batch) -> Tensor:
        """beta * log(policy / reference), (S,)."""
        return self.beta * batch.singles().ratios
