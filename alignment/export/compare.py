"""Whether what was written answers like what it was written from: logits, tokens and rendered chats."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from alignment import chat
from alignment.export.errors import ExportDiffers
from alignment.export.record import Comparison
from alignment.training.errors import CheckpointRefused

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

USER = {"role": "user", "content": "What is the capital of France?"}
ANSWER = {"role": "assistant", "content": "Paris."}
CHATS: tuple[tuple[dict[str, str], ...], ...] = (
    (USER,),
    (USER, ANSWER, {"role": "user", "content": "Naïve café, “quotes” and 12,5 €?\n\tTabs too."}),
    ({"role": "user", "content": "Write a short poem about the sea, please. " * 4},),
)
LONGEST = 128
EXACT = 1e-5  # the same weights, added up in another order
# Rounding weights to 8 bits of mantissa moves the logits of trained models by a percent or so of their spread; a wrong
# or missing tensor moves them by as much as they spread.
ROUNDED = 0.1
AGAIN = "Export again; if it happens again, the disk or the installed transformers is at fault. Nothing was kept."


@dataclass(frozen=True)
class Rendered:
    """What a tokenizer makes of the chats."""

    texts: tuple[str, ...]
    ids: tuple[tuple[int, ...], ...]


def render(tokenizer: PreTrainedTokenizerBase) -> Rendered:
    """Every chat, with and without its answer opened.  Raises CheckpointRefused when the template refuses one."""
    dialogues = [chat.Dialogue(messages, opened=opened) for messages in CHATS for opened in (True, False)]
    try:
        texts = [turn.prompt for turn in chat.render(tokenizer, dialogues)]
    except chat.TemplateRefused as error:
        raise CheckpointRefused(
            f"A plain chat cannot be written: {error.reason}.",
            "Give the checkpoint another chat template.",
            "checkpoint",
        ) from error
    return Rendered(tuple(texts), tuple(tuple(ids) for ids in chat.encode(tokenizer, texts)))


def read_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    """The tokenizer of a folder whose base may be elsewhere."""
    from transformers import AutoTokenizer

    try:
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
            folder, trust_remote_code=False, local_files_only=True
        )
    except (ValueError, OSError, KeyError) as error:
        raise ExportDiffers("The tokenizer that was written cannot be loaded.", AGAIN) from error
    return tokenizer


def require_same_chats(expected: Rendered, tokenizer: PreTrainedTokenizerBase) -> None:
    """Raise ExportDiffers when the tokenizer writes or cuts a chat otherwise."""
    found = render(tokenizer)
    if found.texts != expected.texts:
        raise ExportDiffers("The chat template that was written renders a chat differently.", AGAIN)
    if found.ids != expected.ids:
        raise ExportDiffers("The tokenizer that was written cuts a text into different tokens.", AGAIN)


@torch.no_grad()
def logits(model: PreTrainedModel, rendered: Rendered) -> list[Tensor]:
    """The logits of every chat's first tokens, (T, vocabulary) each, in float32."""
    device = next(model.parameters()).device
    found = []
    for ids in rendered.ids[::2]:
        batch = torch.tensor([ids[:LONGEST]], device=device)
        found.append(model(input_ids=batch, use_cache=False).logits[0].float().cpu())
    return found


def compare(expected: Sequence[Tensor], found: Sequence[Tensor], tolerance: float) -> Comparison:
    """How far apart two models are.  Raises ExportDiffers when that is more than `tolerance`."""
    if [one.shape for one in expected] != [one.shape for one in found]:
        raise ExportDiffers("The model that was written has another vocabulary than its checkpoint.", AGAIN)
    one, other = torch.cat(list(expected)), torch.cat(list(found))
    if not bool(torch.isfinite(one).all()):
        raise CheckpointRefused(
            "The checkpoint's own answers are not numbers (NaN or infinite).",
            "Choose another checkpoint.",
            "checkpoint",
        )
    spread = (one - one.mean(dim=1, keepdim=True)).norm().clamp_min(1e-6)
    difference = float((one - other).norm() / spread)
    if not difference <= tolerance:  # not a number is not close either
        raise ExportDiffers(
            f"Loaded again, the export answers differently from its checkpoint: logits differ by {difference:.2g} of "
            f"their spread, and {tolerance:.2g} is allowed.",
            AGAIN,
        )
    return Comparison(
        prompts=len(expected),
        positions=len(one),
        difference=difference,
        tolerance=tolerance,
        same_token=float((one.argmax(1) == other.argmax(1)).float().mean()),
    )
