"""How a step used the machine: tokens and examples a second, what sharing saved, padding, memory, and FLOPs."""

from __future__ import annotations

import resource
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch

from alignment.training import routing
from alignment.training.flops import Work, triangle

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from alignment.training.encode import Encoded
    from alignment.training.scoring import Scoring

PEAKS: dict[str, tuple[float, float]] = {
    "B200": (2250, 75),
    "H200": (989, 67),
    "GH200": (989, 67),
    "H100": (989, 67),
    "H100 PCIe": (756, 51),
    "H100 NVL": (835, 60),
    "H800": (989, 67),
    "H20": (148, 44),
    "A100": (312, 19.5),
    "A800": (312, 19.5),
    "A40": (149.7, 37.4),
    "A10": (125, 31.2),
    "A10G": (70, 35),
    "L40S": (362, 91.6),
    "L40": (181, 90.5),
    "L4": (121, 30.3),
    "RTX A6000": (154.8, 38.7),
    "RTX 6000 Ada": (364, 91.1),
    "RTX 5090": (209.5, 104.8),
    "RTX 4090": (165.2, 82.6),
    "RTX 3090": (71, 35.6),
}
"""Dense TFLOP/s of accelerators by their names, in bf16 and in fp32, as their makers publish them."""


def needed(work: Work, examples: Sequence[Encoded], *, shared: bool) -> float:
    """FLOPs that the examples need at least in these rows, padding not counted."""
    tokens = sum(example.shared_tokens if shared else example.tokens for example in examples)
    positions = sum(len(answer) for example in examples for answer in example.responses)
    return work.of(tokens, positions, sum(_pairs(example, shared=shared) for example in examples))


def work(model: PreTrainedModel) -> Work:
    """What one training step of a model costs, forward and backward, nothing computed again: 2 FLOPs a weight forward,
    2 for its input's gradient, 2 for its own."""
    text: Any = model.config.get_text_config()
    experts = routing.experts(model.config)
    choices = getattr(text, "num_experts_per_tok", None) or 1
    head, embedded = _weight(model.get_output_embeddings()), _weight(model.get_input_embeddings())  # type: ignore[no-untyped-call]
    token = position = 0.0
    for parameter in model.parameters():
        if parameter.dim() < 2:
            continue
        cost = (6.0 if parameter.requires_grad else 4.0) * parameter.numel()
        if parameter is head:
            position += cost
        elif parameter is not embedded:
            routed = parameter.dim() == 3 and parameter.shape[0] == experts
            token += cost * choices / experts if routed else cost
    heads = text.num_attention_heads
    width = heads * (getattr(text, "head_dim", None) or text.hidden_size // heads)
    return Work(token, position, 12.0 * width * text.num_hidden_layers)


def _weight(layer: Any) -> torch.Tensor | None:
    return getattr(layer, "weight", None)


def _pairs(example: Encoded, *, shared: bool) -> float:
    """Pairs of a token and what it attends to."""

    def of(prompt: int, answers: list[int]) -> float:
        if not shared:
            return sum(triangle(prompt + answer) for answer in answers)
        return triangle(prompt) + sum(triangle(answer) + prompt * answer for answer in answers)

    return sum(of(len(part.prompt), [len(answer) for answer in part.responses]) for part in example.parts)


def peak(device: str, *, half: bool) -> float | None:
    """FLOP/s that a device of that name can do at most; None for one that the table does not hold."""
    words = device.replace("-", " ")
    known = [name for name in PEAKS if f" {name} " in f" {words} "]
    if not known:
        return None
    return PEAKS[max(known, key=len)][0 if half else 1] * 1e12


class Meter:
    """Measures the steps of a run on its device."""

    def __init__(self, model: PreTrainedModel, scoring: Scoring) -> None:
        self._scoring = scoring
        self._cuda = scoring.device.type == "cuda"
        name = torch.cuda.get_device_name(scoring.device) if self._cuda else ""
        most = peak(name, half=not scoring.scorer.exact)
        self._most = None if most is None else most * scoring.ranks.size
        self._work = work(model) if self._most else None

    def values(self, examples: Sequence[Encoded], seconds: float) -> dict[str, float]:
        """The metrics of a step that took so long; `throughput/mfu` only where the device's peak is known."""
        scoring, tokens = self._scoring, sum(example.tokens for example in examples)
        shared = scoring.structure.shared
        real = sum(example.shared_tokens for example in examples) if shared else tokens
        found = {
            "throughput/tokens_per_second": tokens / seconds,
            "throughput/examples_per_second": len(examples) / seconds,
            "throughput/sharing_factor": tokens / real,
            "throughput/padding_share": 1 - real / scoring.computed(examples),
            "memory/peak_gb": scoring.ranks.most(self._peak_gb()),
        }
        if self._work is not None and self._most is not None:
            found["throughput/mfu"] = needed(self._work, examples, shared=shared) / seconds / self._most
        return found

    def _peak_gb(self) -> float:
        if self._cuda:
            return torch.cuda.max_memory_allocated(self._scoring.device) / 1e9
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
