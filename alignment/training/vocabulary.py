"""What the vocabulary says at the positions where a response token is predicted; nowhere else is anything projected.

The projection goes chunk by chunk, in float32 or better after the product, and is computed again in the backward
pass, so that the logits of a pack never exist at once.  Only values that somebody asked for are computed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from alignment.objectives.batch import HEAD, OWN, STEP, OtherValue, TokenValue, beside
from alignment.training.batches import chunk_rows

LIKELIEST = 10  # tokens whose probabilities `top_mass` adds up

Values = dict[str, Tensor]


class Bend(NamedTuple):
    """What a model makes of its projection to the vocabulary: `scale` times it, and of that x, where there is a `cap`,
    cap * tanh(x / cap)."""

    scale: float = 1.0
    cap: float | None = None

    def of(self, logits: Tensor) -> Tensor:
        """The logits of a projection, in its place."""
        logits = logits if self.scale == 1.0 else logits.mul_(self.scale)
        return logits if self.cap is None else logits.div_(self.cap).tanh_().mul_(self.cap)

    def steepness(self, logits: Tensor) -> Tensor | float:
        """How much a logit grows with its projection, at each of the logits."""
        return self.scale if self.cap is None else (logits / self.cap).square_().neg_().add_(1).mul_(self.scale)


STRAIGHT = Bend()


@dataclass(frozen=True)
class Voice:
    """What another model says at the same positions, without gradient: hidden states (P, D) that are projected chunk by
    chunk like the policy's, in the type of `weight`; or the logits (P, V) themselves where there is none.

    `states` (P, layers, D) and `activity` (P,) are what was wanted of its inside.
    """

    hidden: Tensor
    weight: Tensor | None = None
    bias: Tensor | None = None
    bend: Bend = STRAIGHT
    states: Tensor | None = None
    activity: Tensor | None = None

    @property
    def size(self) -> int:
        """How many logits a position has."""
        return self.hidden.shape[1] if self.weight is None else len(self.weight)

    @torch.no_grad()
    def logits(self, rows: slice) -> Tensor:
        """Those of some positions, (R, V), in float32 or better."""
        if self.weight is None:
            return self.hidden[rows]
        with torch.autocast(self.hidden.device.type, enabled=False):
            return _logits(self.hidden[rows].to(self.weight.dtype), self.weight, self.bias, self.bend)

    def means(self) -> Tensor:
        """The mean logit of the vocabulary at each position, (P,)."""
        if self.weight is None:
            return self.hidden.mean(dim=1)
        if self.bend.cap is None:
            return _mean_logits(self.hidden, self.weight, self.bias, self.bend.scale)
        rows = chunks(len(self.hidden), self.hidden.device, self.size)
        return torch.cat([self.hidden.new_empty(0), *(self.logits(some).mean(dim=1) for some in rows)])


Voices = Mapping[str, Voice]
NOBODY: Voices = {}


def without_gradient(name: str) -> bool:
    """Whether a value can have no gradient: a step of the policy's logits, of a response, or another model's own."""
    other = name.endswith((f"/{OtherValue.LOGPS}", f"/{OtherValue.ACTIVITY}"))
    return name in (TokenValue.TOP1, TokenValue.MEAN_LOGIT) or other or name.startswith(f"{STEP}/")


def of_logits(names: Iterable[str]) -> frozenset[str]:
    """Those of some values that logits tell: not what modules give, how active a model is, or where steps are."""
    told = (name for name in names if not name.endswith(f"/{OtherValue.ACTIVITY}"))
    return frozenset(name for name in told if not name.startswith((f"{OWN}/", f"{HEAD}/", f"{STEP}/")))


def models_of(names: Iterable[str]) -> frozenset[str]:
    """The other models that some values are about."""
    return frozenset(name.rpartition("/")[0] for name in names if "/" in name)


def token_values(
    hidden: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    target: Tensor,
    asked: frozenset[str],
    bend: Bend = STRAIGHT,
    voices: Voices = NOBODY,
) -> Values:
    """What is asked for about each position, by name, (P,); float32, or float64 for float64 weights.

    `hidden` (P, D) predicts `target` (P,) by logits that `bend` makes of hidden @ weight.T + bias; `weight` (V, D).
    Under autocast the products are of the autocast type, and everything after them is float32.  Gradients flow
    through every value but those `without_gradient`, and to this model alone; `voices` are the others by name.
    """
    device = hidden.device.type
    apart = asked & {TokenValue.MEAN_LOGIT} if bend.cap is None else frozenset[str]()
    dtype, names = product_type(weight), tuple(sorted(asked - apart))
    voices = {name: voices[name] for name in models_of(names)}
    with torch.autocast(device, enabled=False):
        found = _TokenValues.apply(hidden, weight, bias, target, bend, dtype, names, voices)  # type: ignore[no-untyped-call]
        values: Values = dict(zip(names, found, strict=True))
        if apart:
            values[TokenValue.MEAN_LOGIT] = _mean_logits(hidden, weight, bias, bend.scale)
    return values


def product_type(weight: Tensor) -> torch.dtype:
    """The type in which a projection multiplies: autocast's, or that of the weights."""
    device = weight.device.type
    return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else weight.dtype


def values_of(
    logits: Tensor, target: Tensor, asked: frozenset[str], others: Mapping[str, Tensor] | None = None
) -> Values:
    """The definitions: values (R,) of logits (R, V) in float32 or better, with ordinary gradients.

    `others` are the logits (R, V) of other models by name.
    """
    largest = logits.detach().amax(dim=1)
    shifted = logits - largest[:, None]
    powers = shifted.exp()
    total = powers.sum(dim=1)
    sums = total.log()
    picked = shifted.gather(1, target[:, None]).squeeze(1)
    found: Values = {}
    for name in asked:
        match name:
            case TokenValue.LOGPS:
                found[name] = picked - sums
            case TokenValue.LOGSUMEXP:
                found[name] = sums + largest
            case TokenValue.ENTROPY:
                found[name] = sums - _dots(powers, shifted) / total
            case TokenValue.LOG_COLLISION:
                found[name] = _dots(powers, powers).log() - 2 * sums
            case TokenValue.TOP_MASS:
                found[name] = (shifted.topk(min(LIKELIEST, shifted.shape[1])).values - sums[:, None]).exp().sum(dim=1)
            case TokenValue.TOP1:
                found[name] = (picked >= 0).to(logits.dtype)
            case TokenValue.MEAN_LOGIT:
                found[name] = logits.detach().mean(dim=1)
    for model, theirs in (others or {}).items():
        found |= _beside(model, theirs, (shifted, sums), target, asked)
    return found


def _dots(one: Tensor, other: Tensor) -> Tensor:
    """The product of each row with the other's, (R,): as a batch of matrix products it is slower and less exact."""
    return (one * other).sum(dim=1)


def log_shares(logits: Tensor) -> Tensor:
    """Log-probabilities (R, V), rounded as the policy's are: two equal models differ by nothing."""
    shifted = logits - logits.amax(dim=1, keepdim=True)
    return shifted - shifted.exp().sum(dim=1, keepdim=True).log()


def _beside(model: str, logits: Tensor, policy: tuple[Tensor, Tensor], target: Tensor, asked: frozenset[str]) -> Values:
    """What is asked about another model's logits (R, V); `policy`: ours (R, V), and what (R,) makes them logarithms."""
    theirs = log_shares(logits)
    shifted, sums = policy
    found: Values = {}
    for value in OtherValue:
        name = beside(model, value)
        if name not in asked:
            continue
        match value:
            case OtherValue.LOGPS:
                found[name] = theirs.gather(1, target[:, None]).squeeze(1)
            case OtherValue.KL:
                found[name] = _dots(theirs.exp(), theirs - (shifted - sums[:, None]))
            case OtherValue.EXPECTED:
                found[name] = _dots((shifted - sums[:, None]).exp(), theirs)
    return found


@torch.no_grad()
def _mean_logits(hidden: Tensor, weight: Tensor, bias: Tensor | None, scale: float) -> Tensor:
    """The mean over the vocabulary is linear: it needs the mean of the weights, and no logits."""
    wide = torch.promote_types(weight.dtype, torch.float32)
    found = hidden.to(wide) @ weight.mean(dim=0, dtype=wide)
    return scale * (found if bias is None else found + bias.mean(dtype=wide))


class _TokenValues(torch.autograd.Function):
    """The values in chunks; the logits of each are computed again for its gradient."""

    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        target: Tensor,
        bend: Bend,
        dtype: torch.dtype,
        names: tuple[str, ...],
        voices: Voices,
    ) -> tuple[Tensor, ...]:
        wide = weight.to(dtype)
        kind = torch.promote_types(dtype, torch.float32)
        values = {name: torch.empty(len(target), dtype=kind, device=hidden.device) for name in names}
        asked = frozenset(names)
        for rows in chunks(len(target), weight.device, len(weight)):
            logits = _logits(hidden[rows].to(dtype), wide, bias, bend)
            others = {name: voice.logits(rows) for name, voice in voices.items()}
            for name, value in values_of(logits, target[rows], asked, others).items():
                values[name][rows] = value
        ctx.save_for_backward(hidden, weight, bias, target)
        ctx.bend, ctx.dtype, ctx.names, ctx.voices = bend, dtype, names, voices
        ctx.set_materialize_grads(False)
        ctx.mark_non_differentiable(*(value for name, value in values.items() if without_gradient(name)))
        return tuple(values[name] for name in names)

    @staticmethod
    def backward(ctx: Any, *outside: Tensor | None) -> tuple[Tensor | None, ...]:
        hidden, weight, bias, target = ctx.saved_tensors
        wants_hidden, wants_weight, wants_bias = ctx.needs_input_grad[:3]
        wide = weight.to(ctx.dtype)
        kind = torch.promote_types(ctx.dtype, torch.float32)
        worths = {name: worth for name, worth in zip(ctx.names, outside, strict=True) if worth is not None}
        to_hidden = torch.empty_like(hidden) if wants_hidden else None
        to_weight = torch.zeros_like(weight, dtype=kind) if wants_weight else None
        to_bias = torch.zeros_like(bias, dtype=kind) if wants_bias else None
        for rows in chunks(len(target), weight.device, len(weight)):
            some = hidden[rows].to(ctx.dtype)
            worth = {name: value[rows] for name, value in worths.items()}
            others = {name: ctx.voices[name].logits(rows) for name in models_of(worth)}
            logits = _logits(some, wide, bias, ctx.bend)
            steepness = ctx.bend.steepness(logits)
            slope = _slope(logits, target[rows], worth, others).mul_(steepness)
            narrow = slope.to(ctx.dtype)
            if to_hidden is not None:
                to_hidden[rows] = (narrow @ wide).to(hidden.dtype)
            if to_weight is not None:
                if ctx.dtype == kind:
                    to_weight.addmm_(narrow.T, some)
                else:
                    to_weight += narrow.T @ some
            if to_bias is not None:
                to_bias += slope.sum(0)
        to_weight = None if to_weight is None else to_weight.to(weight.dtype)
        to_bias = None if to_bias is None else to_bias.to(bias.dtype)
        return to_hidden, to_weight, to_bias, None, None, None, None, None


def _slope(logits: Tensor, target: Tensor, worth: Values, others: Mapping[str, Tensor]) -> Tensor:
    """The gradient (R, V) of the sum of `worth` times each value, with respect to logits that are ours to overwrite."""
    if not worth:
        return logits.zero_()
    if all(name == TokenValue.LOGPS or "/" in name for name in worth):
        return _short_slope(logits, target, worth, others)
    with torch.enable_grad():
        values = values_of(logits.requires_grad_(), target, frozenset(worth), others)
        whole = torch.stack([(values[name] * one).sum() for name, one in worth.items()]).sum()
    return torch.autograd.grad(whole, logits)[0]


def _short_slope(logits: Tensor, target: Tensor, worth: Values, others: Mapping[str, Tensor]) -> Tensor:
    """The same without a graph, where nothing but log-probabilities and values beside other models is worth anything.

    With p of the policy and q of another model, the slopes are one-hot - p for a log-probability, p - q for KL(q || p)
    and p (log q - sum p log q) for the expectation.
    """
    shares = logits.sub_(logits.logsumexp(dim=1, keepdim=True)).exp_()
    own = worth.get(TokenValue.LOGPS, torch.zeros_like(shares[:, 0]))
    of_shares, more = -own, []
    for model, other in others.items():
        theirs = log_shares(other)
        expected, divergence = (worth.get(beside(model, value)) for value in (OtherValue.EXPECTED, OtherValue.KL))
        if expected is not None:
            weighted = shares * theirs
            of_shares = of_shares - expected * weighted.sum(dim=1)
            more.append(weighted.mul_(expected[:, None]))
        if divergence is not None:
            of_shares = of_shares + divergence
            more.append(theirs.exp_().mul_(-divergence[:, None]))
    slope = shares.mul_(of_shares[:, None])
    for part in more:
        slope += part
    return slope.scatter_add_(1, target[:, None], own[:, None])


def _logits(hidden: Tensor, weight: Tensor, bias: Tensor | None, bend: Bend) -> Tensor:
    logits = (hidden @ weight.T).to(torch.promote_types(hidden.dtype, torch.float32))
    if bias is not None:
        logits += bias
    return bend.of(logits)


def chunks(positions: int, device: torch.device, vocabulary: int) -> Iterator[slice]:
    """The positions, as many at a time as are projected at once."""
    most = chunk_rows(device.type, vocabulary)
    for start in range(0, positions, most):
        yield slice(start, min(start + most, positions))
