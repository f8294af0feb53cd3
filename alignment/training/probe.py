"""`python -m alignment.training.probe`: measures how fast this machine's device computes, in a second, and prints it.

What is timed is a step of one layer with as many tokens as a pack holds, packs beside each other as training computes
them, at rising widths: a product alone would tell nothing of the small operations beside it, which take most of the
time of a narrow model.
"""

from __future__ import annotations

import time

import torch

from alignment.training import lanes
from alignment.training.batches import LANES, auto_tokens
from alignment.training.ranks import alone
from alignment.training.timing import Speed

WIDTHS = (64, 128, 256, 512, 1024, 2048)
HEAD = 64
WEIGHTS = 12  # of a layer, in squares of its width: 4 of attention, 8 of the network
ROUNDS = 4  # of which the first makes kernels ready, and the fastest counts
LONGEST_SECONDS = 0.2  # of a step; one of the next width takes four times as long


def measured() -> Speed:
    """The speed of the machine's best device."""
    device = alone().device
    return Speed(fp32=_curve(device, torch.float32), bf16=_curve(device, torch.bfloat16))


def _curve(device: torch.device, kind: torch.dtype) -> tuple[tuple[int, float], ...]:
    """FLOP/s by width, as far as no step takes too long."""
    tokens, found = auto_tokens(device.type), []
    packs = min(LANES, torch.get_num_threads()) if device.type == "cpu" else 1
    for width in WIDTHS:
        layer = torch.nn.TransformerEncoderLayer(
            width, width // HEAD, 4 * width, dropout=0.0, batch_first=True, norm_first=True, device=device, dtype=kind
        )
        row = torch.randn(1, tokens, width, device=device, dtype=kind)
        seconds = min(_step(layer, [row] * packs) for _ in range(ROUNDS))
        found.append((width, 6 * WEIGHTS * width**2 * tokens * packs / seconds))
        if 4 * seconds > LONGEST_SECONDS:
            break
    return tuple(found)


def _step(layer: torch.nn.Module, rows: list[torch.Tensor]) -> float:
    """Seconds of the forward and the backward pass of all rows."""
    count = len(rows)
    began = time.perf_counter()
    lanes.each(
        rows,
        lambda row: torch.autograd.backward(layer(row).sum()),
        lambda: None,
        layer.parameters(),
        lanes=count,
        at_once=count,
    )
    if rows[0].device.type != "cpu":
        torch.accelerator.synchronize(rows[0].device)
    return time.perf_counter() - began


if __name__ == "__main__":
    print(measured().model_dump_json())
