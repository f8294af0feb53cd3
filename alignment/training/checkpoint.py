"""Checkpoints on disk: written beside and renamed into place, the latest and the best kept."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Literal

from safetensors.torch import save_file

from alignment.training import whole
from alignment.training.failures import require_room
from alignment.training.folder import READING
from alignment.training.spec import Keep

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

Kind = Literal["full", "lora"]
OWN: Final = Path("objective", "modules.safetensors")
"""Where a checkpoint keeps the modules that its objective has trained: in a folder, since weights that lie beside the
model's would be taken for its own."""


@dataclass(frozen=True)
class Saved:
    """A checkpoint that is on disk."""

    path: Path
    step: int
    kind: Kind
    metrics: Mapping[str, float]

    def event(self) -> dict[str, Any]:
        """The body of the `checkpoint` event."""
        return {"path": str(self.path), "step": self.step, "kind": self.kind, "metrics": dict(self.metrics)}


@dataclass
class Checkpoints:
    """The checkpoints of one run, under `folder/<step>/`."""

    folder: Path
    kind: Kind
    keep: Keep
    measure: str | None = None  # tells the best one
    reading: Mapping[str, Any] | None = None  # of a reward model: how its head is read
    saved: list[Saved] = field(default_factory=list)

    def save(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        step: int,
        metrics: Mapping[str, float],
        weights: dict[str, Tensor] | None = None,
        own: Mapping[str, Tensor] = MappingProxyType({}),
    ) -> Saved:
        """Write weights (or the adapter), tokenizer and template, and of a reward model how it is read; the folder
        appears whole or not at all.

        `weights` are those of a model that holds only its share of them, `own` those of the objective's modules.  A
        folder that is there already holds these very weights: a run that goes on after it was stopped between a
        training state and the end of its evaluation comes by twice.

        Raises DiskFull, or the OSError that the disk gave, and leaves nothing behind.
        """
        place = self.folder / str(step)
        if not place.exists():
            self.folder.mkdir(parents=True, exist_ok=True)
            require_room(self.folder, size_of(model) + sum(part.numel() * part.element_size() for part in own.values()))
            with whole.written(place) as partial:
                # embeddings are never trained beside adapters; peft would look for the base's config to find that out
                only_adapters: dict[str, Any] = {"save_embedding_layers": False} if self.kind == "lora" else {}
                model.save_pretrained(partial, state_dict=weights, **only_adapters)
                tokenizer.save_pretrained(partial)
                if self.reading is not None:
                    (partial / READING).write_text(json.dumps(self.reading, indent=2) + "\n")
                if own:
                    (partial / OWN).parent.mkdir()
                    save_file(dict(own), partial / OWN)
                (partial / "README.md").unlink(missing_ok=True)  # an empty card that peft writes
        saved = Saved(place, step, self.kind, dict(metrics))
        self.saved = [*(known for known in self.saved if known.step != step), saved]
        return saved

    def restore(self, known: Iterable[tuple[int, Mapping[str, float]]]) -> None:
        """Take over the checkpoints, by step and metrics, of a run that goes on."""
        self.saved = [Saved(self.folder / str(step), step, self.kind, dict(metrics)) for step, metrics in known]

    @property
    def best(self) -> Saved | None:
        """The checkpoint that is best by the metric of the spec; None when none was measured by it."""
        name = self.measure
        measured = [saved for saved in self.saved if name in saved.metrics]
        if name is None or not measured:
            return None
        sign = -1 if name == "eval/loss" else 1
        return max(measured, key=lambda saved: (sign * saved.metrics[name], saved.step))

    def prune(self) -> list[Saved]:
        """Delete what is neither among the latest nor the best, and return it."""
        kept = {saved.step for saved in self.saved[-self.keep.last :]}
        if self.best is not None:
            kept.add(self.best.step)
        gone = [saved for saved in self.saved if saved.step not in kept]
        for saved in gone:
            if saved.path.exists():  # else it was written on another machine
                whole.remove(saved.path)
        self.saved = [saved for saved in self.saved if saved.step in kept]
        return gone


def size_of(model: PreTrainedModel) -> int:
    """Bytes that a checkpoint of the model takes: an adapted model's frozen weights are not written again."""
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    return sum(parameter.numel() * parameter.element_size() for parameter in trained)
