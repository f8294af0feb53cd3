"""Preference optimization in which every token counts as a mask says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from alignment.objectives.batch import REFERENCE, OtherValue, TokenValue, own
from alignment.objectives.objective import (
    PAIR,
    Fidelity,
    Needs,
    Objective,
    Own,
    Paper,
    Range,
    Relative,
    State,
    log_sigmoid,
    varying,
)

if TYPE_CHECKING:
    from torch import Tensor

    from alignment.objectives.batch import Batch

REWARD, KL = "reward_mask", "kl_mask"
MASKS: Mapping[str, tuple[str, ...]] = {"independent": (REWARD, KL), "common": (REWARD,), "activation": ()}
"""The masks that are trained, by the kind of mask."""


def _needs(sparse: SparsePO) -> Needs:
    activity = frozenset({OtherValue.ACTIVITY} if sparse.mask == "activation" else ())
    return Needs(frozenset(), of_reference=activity, own=frozenset(MASKS[sparse.mask]))


class SparsePO(Objective):
    """TDPO1 whose log-ratios and divergences count token by token as sparse masks say, learned or the reference's own.

    Christopoulou et al. 2024, arXiv 2410.05102, the loss L_SparsePO.  Learned masks read the reference's hidden state
    after each layer (layer norm, projection, ReLU; mixed over the layers, ReLU), one for both terms (common) or one
    each (independent).  They begin at 1 for every token, where the loss is TDPO1's, since masks of random weights can
    be 0 for all tokens, and then nothing is learned; they have no dropout, where the authors' have 0.01, so that a
    batch has one gradient; and they learn at a rate of their own.  The activation mask (MaPO) has no weights: it is
    how far the reference's activations at the token stand above their means over the response, in standard deviations
    (attention, feed-forward network and residual stream of each layer, and logits; each by the mean of its values,
    all averaged), rescaled to [0, 1] within the response; where all tokens are alike it is 1.  At policy == reference
    the loss is log 2, the L1 terms beside it, and the reward 0.
    """

    name: ClassVar[str] = "sparsepo"
    title: ClassVar[str] = "SparsePO"
    family: ClassVar[str] = "Token by token"
    formula: ClassVar[str] = (
        r"-\log\sigma\!\left(\beta\left[v(y_w)-v(y_l)\right]\right)+\lambda_u\sum_t|\mu_t|+\lambda_\delta\sum_t|\nu_t|,"
        r"\quad v(y)=\sum_t\mu_t\log\frac{\pi(y_t)}{\pi_{\mathrm{ref}}(y_t)}"
        r"+\nu_t\,\mathrm{KL}\!\left(\pi_{\mathrm{ref}}(\cdot\mid y_{<t})\,\|\,\pi(\cdot\mid y_{<t})\right)"
    )
    paper: ClassVar[Paper] = Paper(
        "SparsePO: Controlling Preference Alignment of LLMs via Sparse Token Masks",
        "Christopoulou et al.",
        2024,
        "2410.05102",
        "",
    )
    fidelity: ClassVar[Fidelity] = "authors_code"
    needs: ClassVar[Needs] = varying(
        Needs(PAIR, reference="distribution", tokens=frozenset({TokenValue.LOGPS})), _needs
    )
    fixes: ClassVar[str] = (
        "A preference often lies in a few words of a response; masks find them, and let the rest of it be."
    )
    costs: ClassVar[str] = (
        "The reference is asked at every step. A strong L1 can turn masks to 0 for every token: then the loss stays at "
        "log 2 and nothing is learned."
    )
    ranges: ClassVar[Mapping[str, Range]] = {
        "beta": Range(0.1, 0.8, "0.8 for sentiment and summaries, 0.1 for dialogues"),
        "l1_u": Range(0, 0.001, "0.001 for dialogues with a common mask, else 0"),
        "l1_d": Range(0, 0.001, "0.001 for dialogues with a common mask, else 0"),
        "mask_decay": Range(0.01, 0.01, "the authors' code"),
    }
    relatives: ClassVar[tuple[Relative, ...]] = (
        Relative("tdpo1", "SparsePO is TDPO1 where all masks are 1."),
        Relative("dpo", "SparsePO is DPO where reward masks are 1 and KL masks 0."),
    )

    beta: float = Field(
        0.1, gt=0, le=100, title="Beta", description="Strength of the pull towards the reference model."
    )
    mask: Literal["independent", "common", "activation"] = Field(
        "independent",
        title="Mask",
        description="Learned for rewards and for divergences each (independent), learned for both together (common), "
        "or taken from the reference's activations.",
    )
    l1_u: float = Field(
        0.0, ge=0, le=100, title="L1 of reward masks", description="Pull of the learned reward masks to 0."
    )
    l1_d: float = Field(
        0.0, ge=0, le=100, title="L1 of KL masks", description="Pull of the learned masks of divergences to 0."
    )
    mask_rate: float = Field(
        1e-3, gt=0, le=1, title="Rate of masks", description="Highest learning rate of what computes learned masks."
    )
    mask_decay: float = Field(
        0.01, ge=0, le=1, title="Decay of masks", description="Weight decay of what computes learned masks."
    )

    @model_validator(mode="after")
    def _only_learned_masks_are_trained(self) -> Self:
        learning = sorted(self.model_fields_set & {"l1_u", "l1_d", "mask_rate", "mask_decay"})
        told = [name for name in learning if getattr(self, name) != type(self).model_fields[name].default]
        if self.mask == "activation" and told:
            message = "masks of activations are not learned, so {fields} would change nothing: leave it as it is"
            raise PydanticCustomError("not_learned", message, {"fields": " and ".join(told)})
        return self

    @classmethod
    def usual_needs(cls) -> Needs:
        """What an instance with learned masks needs."""
        return cls().needs

    def own_modules(self, layers: int, width: int) -> Own | None:
        """The learned masks."""
        from alignment.objectives.modules.masks import TokenMasks

        names = MASKS[self.mask]
        return Own(TokenMasks(names, layers, width), self.mask_rate, self.mask_decay) if names else None

    def own_weights(self, layers: int, width: int) -> int:
        """For each mask and layer a norm and a projection, and for each mask what mixes its layers."""
        return len(MASKS[self.mask]) * (layers * (3 * width + 1) + layers + 1)

    def loss(self, batch: Batch, state: State) -> Tensor:  # noqa: ARG002
        """-log sigmoid(beta (v_w - v_l)) and the L1 norms of both sides' masks, (examples,)."""
        chosen, rejected = batch.sides(self._values(batch))
        return -log_sigmoid(self.beta * (chosen - rejected)) + self._norms(batch)

    def rewards(self, batch: Batch) -> Tensor:
        """beta * the sum of the masked log-ratios and divergences, (S,)."""
        return self.beta * self._values(batch)

    def _values(self, batch: Batch) -> Tensor:
        tokens = batch.each_token()
        rewarded, held = self._masks(batch)
        counted = rewarded * tokens.ratios + held * tokens.other(REFERENCE, OtherValue.KL)
        return tokens.added(counted, len(batch.logps))

    def _norms(self, batch: Batch) -> Tensor:
        """lambda_u |mu| + lambda_d |nu| added up over the tokens of each example, (examples,)."""
        rewarded, held = self._masks(batch)
        weighted = self.l1_u * rewarded.abs() + self.l1_d * held.abs()
        chosen, rejected = batch.sides(batch.each_token().added(weighted, len(batch.logps)))
        return chosen + rejected

    def _masks(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Those of log-ratios and of divergences, (T,) each."""
        tokens = batch.each_token()
        if self.mask == "activation":
            activity = tokens.other(REFERENCE, OtherValue.ACTIVITY)
            mask = _rescaled(activity, tokens.sequence, len(batch.logps))
            return mask, mask
        rewarded = tokens.values[own(REWARD)]
        return rewarded, tokens.values[own(KL)] if self.mask == "independent" else rewarded


def _rescaled(values: Tensor, sequence: Tensor, responses: int) -> Tensor:
    """Values of tokens (T,) from 0 to 1 within each response, without gradient; 1 where they are all the same."""
    values = values.detach()
    low, high = (
        values.new_zeros(responses).scatter_reduce(0, sequence, values, which, include_self=False)[sequence]
        for which in ("amin", "amax")
    )
    return ((values - low) / (high - low)).where(high > low, values.new_ones(()))
