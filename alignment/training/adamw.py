"""AdamW for weights in bf16 whose masters are float32: small updates add up instead of being rounded away.

A bf16 weight moves in steps of 1/256 of itself, and updates in preference training are a thousand times smaller:
added to bf16 alone, nearly all of them are lost.  Rounding at random keeps them on average, but at such rates its
random walk is as long as the way that is to be learned (after n steps about sqrt(n * rate * step) against n * rate),
so masters are kept.  A master is the bits of its bf16 weight followed by 16 bits more (Kalamkar et al. 2020, arXiv
2005.04680, section V: split SGD); only these are stored beside the weight, so that masters cost two bytes, not four.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

BETAS, EPSILON = (0.9, 0.999), 1e-8  # as torch.optim.AdamW has them
AT_ONCE = 1 << 21  # weights: float32 copies exist of so many only
HALF = 1 << 15


def join(weight: Tensor, rest: Tensor) -> Tensor:
    """The float32 masters of bf16 weights and what is stored beside them, int16."""
    return ((weight.view(torch.int16).to(torch.int32) << 16) + rest).view(torch.float32)


def split(master: Tensor) -> tuple[Tensor, Tensor]:
    """The nearest bf16 weights (of two as near, the larger) and the int16 that lead back: `join` is the inverse."""
    bits = master.view(torch.int32)
    high = (bits + HALF) >> 16
    return high.to(torch.int16).view(torch.bfloat16), (bits - (high << 16)).to(torch.int16)


class MasteredAdamW(torch.optim.Optimizer):
    """AdamW (Loshchilov and Hutter 2019, arXiv 1711.05101, algorithm 2) on the masters of bf16 weights.

    State of each weight: `step`, `exp_avg` and `exp_avg_sq` in float32 as torch.optim.AdamW names them, and `rest`.
    """

    def __init__(
        self, parameters: Iterable[nn.Parameter] | Iterable[dict[str, Any]], lr: float, weight_decay: float
    ) -> None:
        super().__init__(parameters, {"lr": lr, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Move every weight that has a gradient."""
        if closure is not None:
            raise ValueError("a step takes no closure: losses are computed pack by pack")
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is not None:
                    self._move(weight, weight.grad, float(group["lr"]), float(group["weight_decay"]))

    def _move(self, weight: Tensor, gradient: Tensor, rate: float, decay: float) -> None:
        state = self.state[weight]
        if not state:
            state["step"] = torch.zeros(())
            state["exp_avg"] = torch.zeros_like(weight, dtype=torch.float32)
            state["exp_avg_sq"] = torch.zeros_like(weight, dtype=torch.float32)
            state["rest"] = torch.zeros_like(weight, dtype=torch.int16)
        state["step"] += 1
        step = float(state["step"])
        correction, square_correction = 1 - BETAS[0] ** step, 1 - BETAS[1] ** step
        parts = (weight, gradient, state["exp_avg"], state["exp_avg_sq"], state["rest"])
        for own, slope, mean, square, rest in _pieces(*parts):
            master, slope = join(own, rest).mul_(1 - rate * decay), slope.float()
            mean.lerp_(slope, 1 - BETAS[0])
            square.mul_(BETAS[1]).addcmul_(slope, slope, value=1 - BETAS[1])
            spread = (square / square_correction).sqrt_().add_(EPSILON)
            nearest, left = split(master.addcdiv_(mean, spread, value=-rate / correction))
            own.copy_(nearest)
            rest.copy_(left)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a state: torch alone would turn it into the type of the weights, and lose what they lack."""
        super().load_state_dict(state_dict)
        weights = [weight for group in self.param_groups for weight in group["params"]]
        for place, kept in state_dict["state"].items():
            weight = weights[place]
            self.state[weight] = {
                name: value.detach().clone().to("cpu" if name == "step" else weight.device)
                for name, value in kept.items()
            }


def _pieces(*tensors: Tensor) -> Iterator[list[Tensor]]:
    """The same stretches of a weight, its gradient and what is kept of it: views of all but the gradient."""
    if not tensors[0].is_contiguous():
        yield list(tensors)
        return
    flat = [tensor.reshape(-1) for tensor in tensors]
    for start in range(0, len(flat[0]), AT_ONCE):
        yield [tensor[start : start + AT_ONCE] for tensor in flat]
