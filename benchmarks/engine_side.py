"""One side of the engine's benchmarks in a process of its own: the same pairs, in the same order, by us or by TRL.

python -m benchmarks.engine_side FOLDER '{"side": "plumbline", …}' prints one line of JSON.  FOLDER holds `model` (a
checkpoint with its tokenizer) and `rows.json`: [prompt ids, ids of each response, the best first] each.

Of more than two responses every one is compared with every worse one: one row with all of them here, one pair after
another there, and the same loss.
"""

import json
import os
import sys
import time
from pathlib import Path
from typing import Literal, TypedDict

import psutil

from benchmarks.engine_work import Ids

LEARNING_RATE = 1e-6  # TRL's default for DPO
BETA = 0.1
SIMPO_BETA, SIMPO_GAMMA = 2.0, 1.0
MIB = 2**20


Name = Literal["plumbline", "plain", "trl"]
Precision = Literal["fp32", "bf16", "pure_bf16"]


class Side(TypedDict):
    """What to measure."""

    side: Name
    size: int  # pairs in one forward pass of TRL; tokens in a pack of ours, 0 for what it takes by itself
    lean: bool  # TRL without the metrics that no option turns off
    cached: bool  # log-probabilities of the reference are given, and not part of the time
    precision: Precision
    loss: Literal["dpo", "ipo", "simpo"]
    examples: int  # in an optimizer step
    steps: int  # the first of them warms up, and is not timed
    device: str
    lora: bool
    again: bool  # layers are computed again in the backward pass
    liger: bool  # TRL with Liger's kernels


class Measured(TypedDict):
    """What came of it: seconds and tokens of the timed steps together, values of every step, MiB above the loaded
    model.

    `tokens` counts a prompt with each of its responses, `computed` what went through the model, padding included;
    `attention` is how ours attended.
    """

    seconds: float
    losses: list[float]
    grad_norms: list[float]
    mib: float
    loaded_mib: float
    attention: str
    tokens: int
    computed: int


def rows_of(folder: Path, side: Side) -> list[Ids]:
    """As many examples as the steps take."""
    found: list[Ids] = json.loads((folder / "rows.json").read_text(encoding="utf-8"))
    return found[: side["examples"] * side["steps"]]


def peak_mib(device: str) -> float:
    """The most memory that this process has held: of the machine, or of the accelerator."""
    import resource

    import torch

    if device == "cpu":
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return torch.cuda.max_memory_allocated() / MIB


def held_mib(device: str) -> float:
    """The memory that it holds now."""
    import torch

    return float(psutil.Process().memory_info().rss if device == "cpu" else torch.cuda.memory_allocated()) / MIB


def clock(device: str) -> float:
    """Seconds, once all that was begun on the device is done."""
    import torch

    if device != "cpu":
        torch.cuda.synchronize()
    return time.perf_counter()


def narrow(side: Side) -> bool:
    """Whether the weights lie in bf16, as frozen ones do beside adapters."""
    return side["precision"] == "pure_bf16" or (side["lora"] and side["precision"] == "bf16")


def main() -> None:
    """Measure what the command line says."""
    from benchmarks.engine_ours import ours
    from benchmarks.engine_trl import theirs

    os.environ |= {"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "CI": "1"}
    side: Side = json.loads(sys.argv[2])
    measure = theirs if side["side"] == "trl" else ours
    print(json.dumps(measure(Path(sys.argv[1]), side)))


if __name__ == "__main__":
    main()
