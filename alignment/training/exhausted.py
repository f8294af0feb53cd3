"""What to change when memory ran out, with the values that are set now."""

from __future__ import annotations

from collections.abc import Sequence

from alignment.training.encode import Encoded
from alignment.training.errors import OutOfMemory
from alignment.training.spec import FullTuning, Spec


def out_of_memory(
    spec: Spec, step: int, tokens: int, examples: Sequence[Encoded], *, shared: bool, again: bool, at_once: int = 1
) -> OutOfMemory:
    """The error of a step whose examples did not fit in packs of so many tokens, so many `at_once`.

    `shared`: a prompt is computed once; `again`: layers are computed again in the backward pass already.
    """
    longest = max((_computed(example, shared=shared) for example in examples), default=0)
    field, advice = "batch.tokens_per_pack", f"Lower batch.tokens_per_pack from {tokens} to {max(tokens // 2, 16)}"
    if longest >= tokens:  # one example is a pack of its own, and smaller packs do not make it smaller
        field = "length.max_prompt_tokens"
        advice = (
            f"The longest example of the step takes {longest} tokens by itself, and a pack {tokens}: lower "
            f"length.max_prompt_tokens ({spec.length.max_prompt_tokens}) or length.max_response_tokens "
            f"({spec.length.max_response_tokens})"
        )
    more = ["start it with OMP_NUM_THREADS=1, for one pack at a time"] if at_once > 1 else []
    more += [] if again else ["set gradient_checkpointing to on"]
    more += ["train adapters (LoRA) instead of all weights"] if isinstance(spec.tuning, FullTuning) else []
    more += ["train in bf16"] if spec.precision == "fp32" else []
    return OutOfMemory(
        f"Step {step} did not fit into memory; the steps before it are kept.",
        ", or ".join([advice, *more, "choose a smaller model"]) + ".",
        field,
    )


def _computed(example: Encoded, *, shared: bool) -> int:
    """Tokens that an example takes in a pack, padding included."""
    return example.shared_tokens if shared else example.longest * len(example.responses)
