"""Whether examples may share one row of a model: decided by its architecture, then checked on real rows.

A row that holds several sequences is exact only where nothing but attention looks back, every attention is masked as
we say, and positions mean the same whatever else the row holds.  So architectures are let in by name, and refused for
layers that carry a state along the row and for rotary positions that change with the row's length.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedConfig, PreTrainedModel

DENSE = frozenset({"gemma", "glm4", "gpt2", "gpt_neox", "granite", "llama", "mistral", "olmo2", "phi3"})
EXPERTS = frozenset({"flex_olmo", "granitemoe", "mixtral", "olmoe", "phimoe", "qwen3_moe"})
"""Mixtures of experts: each token is routed by itself, none is dropped, so that only attention looks back."""
ONE_MASK = DENSE | EXPERTS
"""Architectures whose layers all take the one mask they are given."""
MASK_BY_LAYER = frozenset({"gemma3_text", "ministral", "olmo3", "qwen2", "qwen2_moe", "qwen3", "smollm3"})
"""Architectures that take a mask for each type of layer."""
STEADY = frozenset(
    {
        *("apertus", "arcee", "bamba", "cohere", "cohere2", "deepseek_v3", "ernie4_5", "exaone4", "falcon_h1"),
        *("falcon_mamba", "gemma2", "glm4_moe", "gpt_oss", "granitemoehybrid", "helium", "hunyuan_v1_dense", "jamba"),
        *("lfm2", "mamba", "mamba2", "olmo", "phi", "qwen3_5_moe_text", "qwen3_5_text", "qwen3_next", "seed_oss"),
        *("stablelm", "starcoder2"),
    }
)
"""Architectures whose examples do not share rows, and whose layers keep nothing from one call to the next."""
SHARING = ONE_MASK | MASK_BY_LAYER
KNOWN = SHARING | STEADY
ATTENTION = frozenset({"sdpa", "plumbline"})
"""Attention implementations that take our masks: torch's, and ours (`attention.NAME`) above it."""
FULL, SLIDING = "full_attention", "sliding_attention"
STEADY_ROPE = frozenset({"default", "linear", "llama3", "yarn"})
"""Rotary positions that do not depend on the length of the row."""
Way = Literal["masks", "parts", "blocks"]
"""How a shared row attends: torch's attention under a mask, part by part (`attention`), or by blocks (`blocks`)."""
BLOCK = 128  # tokens: the size that FlexAttention's kernels like best


@dataclass(frozen=True)
class Structure:
    """How a model's rows are laid out: `windows` by type of layer when examples share a row, and why or why not.

    `way` is how its attention is computed there.  A `steady` model changes nothing of itself while it computes, so that
    several threads may ask it at the same time.
    """

    shared: bool
    why: str
    windows: tuple[tuple[str, int | None], ...] = ()
    by_layer: bool = False
    way: Way = "masks"
    steady: bool = False

    @property
    def distinct(self) -> frozenset[int | None]:
        """The attention windows for which a mask is needed."""
        return frozenset(window for _, window in self.windows)

    def mask(self, masks: Mapping[int | None, Tensor]) -> Tensor | dict[str, Tensor] | None:
        """What the model takes as its mask; None on the plain path."""
        if not self.shared:
            return None
        by_layer = {layer: masks[window] for layer, window in self.windows}
        return by_layer if self.by_layer else next(iter(by_layer.values()))


def plain(why: str, *, steady: bool = False) -> Structure:
    """Every sequence in a row of its own."""
    return Structure(shared=False, why=why, steady=steady)


def of(config: PreTrainedConfig, attention: str) -> Structure:
    """What a model's configuration allows; `attention` is the implementation that it runs."""
    text: Any = config.get_text_config()
    steady = text.model_type in KNOWN and _rope_types(text) <= STEADY_ROPE
    return replace(_rows(text, attention), steady=steady)


def _rows(text: Any, attention: str) -> Structure:
    kind = text.model_type
    if kind not in SHARING:
        return plain(f"{kind} models are not known to be exact when examples share a row")
    if attention not in ATTENTION:
        return plain(f"the attention implementation {attention} takes no mask of ours")
    layers = set(getattr(text, "layer_types", None) or ())
    if beyond := sorted(layers - {FULL, SLIDING}):
        return plain(f"its layers of type {', '.join(beyond)} carry more than attention along the row")
    if moving := sorted(_rope_types(text) - STEADY_ROPE):
        return plain(f"its rotary positions ({', '.join(moving)}) change with the length of the row")
    return _allowed(text, kind, layers)


def _allowed(text: Any, kind: str, layers: set[str]) -> Structure:
    window = getattr(text, "sliding_window", None)
    if kind in MASK_BY_LAYER:
        if not layers or (SLIDING in layers and not window):
            return plain("its configuration does not say which layers attend how far")
        windows = tuple((layer, window if layer == SLIDING else None) for layer in sorted(layers))
    else:
        windows = ((SLIDING, window) if window else (FULL, None),)
    said = " and ".join("full attention" if size is None else f"windows of {size} tokens" for _, size in windows)
    return Structure(True, f"{kind}, {said}", windows, by_layer=kind in MASK_BY_LAYER)


def looks_back_by_attention(model: PreTrainedModel) -> bool:
    """Whether nothing but attention looks back, from positions that mean the same whatever stands beside a row.

    Then padding that is masked changes nothing.  Layers that carry a state would carry it along the padding, too.
    """
    text: Any = model.config.get_text_config()
    layers = set(getattr(text, "layer_types", None) or ())
    return not model._is_stateful and layers <= {FULL, SLIDING} and _rope_types(text) <= STEADY_ROPE


def _rope_types(text: Any) -> set[str]:
    """The kinds of rotary positions: one for all layers, or one for each type of layer."""
    given = getattr(text, "rope_parameters", None) or getattr(text, "rope_scaling", None)
    if not isinstance(given, Mapping):
        return set()
    if "rope_type" in given:
        return {str(given["rope_type"])}
    return {str(inner.get("rope_type", "default")) for inner in given.values() if isinstance(inner, Mapping)}
